"""Webhooks: tells institutions what became of payments, signed, until they have taken it."""
