"""The composition root: command line, settings and configuration model."""
