"""Pace it and send it."""
