"""Certification: the payment suite, run for one institution against the sandbox switch in both roles."""
