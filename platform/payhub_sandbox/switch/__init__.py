"""A Mojaloop switch: party look-up, quote forwarding and transfers with positions (FSPIOP 1.1)."""
