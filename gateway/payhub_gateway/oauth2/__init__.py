"""The OAuth2 server: client_credentials with private_key_jwt, JWT access tokens (RFC 6749, 7523, 9068)."""
