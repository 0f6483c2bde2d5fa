"""Texts that the operator wrote, filled with what the app knows: versioned, by locale, measured before sending."""

from .model import Charset, ContentTemplate, Kind, Template, Variable, Version

__all__ = ["Charset", "ContentTemplate", "Kind", "Template", "Variable", "Version"]
