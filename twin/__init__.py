"""A Twilio that runs on this machine: same wire, same limits."""
