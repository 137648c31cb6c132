"""The people and machines that use this API, with their roles."""
