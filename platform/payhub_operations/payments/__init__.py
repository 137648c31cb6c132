"""Payments as operators look for them and read them: a read model projected from the audit log."""
