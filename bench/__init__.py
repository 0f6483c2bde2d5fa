"""Measurements. Run one with `python -m bench.<name>`; figures worth keeping are in RESULTS.md."""
