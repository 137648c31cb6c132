"""Who did what to a tenant: entries that only grow, each bound to the one before."""
