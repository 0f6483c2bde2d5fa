"""The switches of an installation: what operators and stages have paused, slowed or changed, from `comms.control`."""
