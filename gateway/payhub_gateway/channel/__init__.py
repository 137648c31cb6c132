"""The channel API: payments that a tenant's members start, as Payment Hub EE's channels know it."""
