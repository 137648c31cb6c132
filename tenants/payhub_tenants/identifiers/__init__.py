"""Party identifiers: the members whom the scheme can find at a tenant."""
