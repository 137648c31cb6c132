"""Alembic's entry: runs the versions on the connection that ``migrate`` opened and will commit."""

from alembic import context

from payhub_operations.schema import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    version_table_schema=SCHEMA,
)
context.run_migrations()
