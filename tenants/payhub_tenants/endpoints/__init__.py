"""Addresses at which payhub calls the institution: callbacks and webhooks."""
