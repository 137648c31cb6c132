"""NATS: subjects, connection and the tenants' configuration as every process holds it."""
