"""`payhub onboard`: one institution from its request to its first payment in the sandbox."""
