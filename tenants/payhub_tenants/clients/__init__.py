"""OAuth clients: the channels that may ask for tokens in a tenant's name."""
