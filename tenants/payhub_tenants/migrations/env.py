"""Alembic's entry: runs the versions on the connection that ``Database.migrate`` opened and will commit."""

from alembic import context

from payhub_tenants.schema import SCHEMA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=SCHEMA,
)
context.run_migrations()
