"""Two people for what is dangerous: one asks, another one approves."""
