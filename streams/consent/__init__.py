"""Consent: one person's changes folded into a ledger, and which messages each change concerns. Pure; policy decides by
it, and dispatch looks at it once more right before a POST. The rules in words: docs/consent.md."""

from __future__ import annotations

from .faults import Effect, effect_of, fault_of, named_by
from .ledger import Entry, Ledger
from .scopes import About, covers

__all__ = ["About", "Effect", "Entry", "Ledger", "covers", "effect_of", "fault_of", "named_by"]
