"""The back office: audit and payment read model, search and detail pages."""
