"""May this be sent, by whom, when, how urgently."""
