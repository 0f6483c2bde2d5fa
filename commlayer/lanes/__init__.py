"""Lanes for an operator: what is configured, what `comms.control` says, what the dispatch processes do, in one view."""
