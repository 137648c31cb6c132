"""The tables of the control plane; migrations make them, this names them for queries."""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

SCHEMA: Final = "tenants"
VERSION_TABLE: Final = "schema_version"
SCHEMA_VERSION: Final = "0002"  # the newest migration, which this code works with

_metadata: Final = MetaData(schema=SCHEMA)

tenants: Final = Table(
    "tenants",
    _metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("fsp_id", Text, unique=True),
    Column("name", Text),
    Column("currency", Text),
    Column("status", Text),
    Column("version", BigInteger),
    Column("epoch", BigInteger),
    Column("published_version", BigInteger),
    Column("placement", ARRAY(Text)),
    Column("scheme_base_url", Text),
    Column("switch_fsp_id", Text),
    Column("switch_public_key_pem", Text),
    Column("ams_base_url", Text),
    Column("ams_platform_tenant", Text),
    Column("ams_username", Text),
    Column("ams_password_sealed", Text),
    Column("key_id", Text),
    Column("public_key_pem", Text),
    Column("private_key_sealed", Text),
    Column("quote_validity_ms", Integer),
    Column("request_fingerprint", Text),
    Column("created_at_ms", BigInteger),
    Column("updated_at_ms", BigInteger),
    Column("scheme_settings", JSONB),
    Column("earlier_keys", JSONB),
    Column("ilp_secrets_sealed", ARRAY(Text)),
)

clients: Final = Table(
    "clients",
    _metadata,
    Column("client_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey(tenants.c.tenant_id)),
    Column("name", Text),
    Column("jwks", JSONB),
    Column("scopes", ARRAY(Text)),
    Column("request_fingerprint", Text),
    Column("created_at_ms", BigInteger),
)

party_identifiers: Final = Table(
    "party_identifiers",
    _metadata,
    Column("tenant_id", Text, ForeignKey(tenants.c.tenant_id), primary_key=True),
    Column("type", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("sub_id", Text, primary_key=True),
    Column("account_id", Text),
    Column("state", Text),
    Column("reason", Text),
    Column("attempted_at_ms", BigInteger),
)
