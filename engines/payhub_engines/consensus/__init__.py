"""The replicated log: a Raft group over a synced journal, hidden behind one small interface."""
