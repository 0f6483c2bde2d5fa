"""The edges: one folder per outside system."""
