"""Kafka: the corrected Faust transport, durable publisher and topic administration."""
