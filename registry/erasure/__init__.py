"""What is removed for good, what must not come back, and how long things are kept."""
