"""What happened, and what people answered."""
