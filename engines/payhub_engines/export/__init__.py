"""The committed log goes to NATS in order, with contiguous positions; NATS is never the only copy."""
