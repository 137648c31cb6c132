"""The control plane: who the tenants are, their keys, clients and party identifiers, and where they run."""
