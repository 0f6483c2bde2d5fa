"""Consent from a command line: scopes in words, lines of a file, and the topic itself."""
