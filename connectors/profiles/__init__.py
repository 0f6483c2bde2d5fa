"""Customer data: Segment's Profile API."""
