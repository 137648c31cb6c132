"""The OAuth2 gateway: who asks, for which tenant, and which engine serves it."""
