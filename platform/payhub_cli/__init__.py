"""The `payhub` command: runs, shows and demonstrates payhub."""
