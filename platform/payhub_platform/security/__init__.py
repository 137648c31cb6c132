"""Sealed secrets, FSPIOP signatures and the credential between payhub's own processes."""
