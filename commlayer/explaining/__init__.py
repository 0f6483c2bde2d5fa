"""Why something happened to a message, from the log alone."""
