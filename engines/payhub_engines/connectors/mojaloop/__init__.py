"""Mojaloop: FSPIOP 1.1 towards the switch, its callbacks, and ILP conditions."""
