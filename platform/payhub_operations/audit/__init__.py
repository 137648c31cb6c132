"""The engines' audit log, stored exactly once and without gaps."""
