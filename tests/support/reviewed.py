"""Sources of others that ours lean on beyond what is documented: known by the digest of what was reviewed."""

from __future__ import annotations

import hashlib
import inspect
from importlib import import_module


def digest(name: str) -> str:
    """Of the source of `module:attribute.path`."""
    module, _, path = name.partition(":")
    found = import_module(module)
    for part in path.split("."):
        found = inspect.getattr_static(found, part)
    found = found.fget if isinstance(found, property) else getattr(found, "fun", found)  # mode wraps tasks
    source = inspect.getsource(found)
    return hashlib.sha256(source.encode()).hexdigest()[:16]
