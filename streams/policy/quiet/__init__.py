"""Quiet hours: at which hours of which place messages may go, and when the next such hour begins."""
