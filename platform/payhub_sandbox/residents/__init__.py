"""DFSPs of the sandbox's own: a counterparty to certify both roles against, and a currency provider."""
