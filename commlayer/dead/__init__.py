"""Dead letters: what could not be used, and what an operator does about it."""
