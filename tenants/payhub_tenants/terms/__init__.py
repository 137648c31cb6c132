"""What an institution may do and what it pays: currencies, limits, fees, and whom it pays directly."""
