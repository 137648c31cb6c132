"""What the switch sends, one module a kind of resource: each message becomes a callback to correlate."""
