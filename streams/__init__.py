"""The decisions: one folder per stage, in the order that data flows."""
