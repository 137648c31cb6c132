"""The proof that no institution reaches another's: every operation of the published documents is tried."""
