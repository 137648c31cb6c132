"""What an institution may do and what it pays: limits and fees."""
