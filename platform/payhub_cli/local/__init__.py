"""NATS and PostgreSQL on this machine, from the wheels of the extra ``local``."""
