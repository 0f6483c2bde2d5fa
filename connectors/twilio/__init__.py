"""Twilio: client, errors, segments, keywords and signatures."""
