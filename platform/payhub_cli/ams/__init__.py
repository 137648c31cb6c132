"""`payhub ams`: what a core banking system must do, and whether it does."""
