"""Alembic migrations of the schema ``tenants``; they run when the process starts."""
