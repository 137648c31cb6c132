"""Tenants: who they are, their keys and connections, and which engines serve them."""
