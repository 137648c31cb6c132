"""What runs in each peer's own process and environment."""
