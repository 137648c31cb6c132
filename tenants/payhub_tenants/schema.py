"""The tables of the control plane; migrations make them, this names them for queries."""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

SCHEMA: Final = "tenants"
VERSION_TABLE: Final = "schema_version"
SCHEMA_VERSION: Final = "0008"  # the newest migration, which this code works with

# Every transaction runs in one of these roles; the owner that logs in sees no row of a tenant.
TENANT_ROLE: Final = "payhub_tenants_tenant"  # the rows of the tenant in app.tenant
REGISTRY_ROLE: Final = "payhub_tenants_registry"  # all tenants' configuration, and no member

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
    Column("ams_settings", JSONB),
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
    Column("lookup", Text, primary_key=True),
    Column("account_lookup", Text),
    Column("content_sealed", Text),
    Column("state", Text),
    Column("reason", Text),
    Column("attempted_at_ms", BigInteger),
)

# What a release that did not seal them has left; it is sealed and deleted when the process starts.
party_identifiers_clear: Final = Table(
    "party_identifiers_clear",
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

jobs: Final = Table(
    "jobs",
    _metadata,
    Column("tenant_id", Text, ForeignKey(tenants.c.tenant_id), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("kind", Text),
    Column("reason", Text),
    Column("started_by", Text),
    Column("started_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("waits_for", Text),
    Column("failure", Text),
)

evidence: Final = Table(
    "evidence",
    _metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("job", BigInteger, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("at_ms", BigInteger),
    Column("detail", JSONB),
)

approvals: Final = Table(
    "approvals",
    _metadata,
    Column("tenant_id", Text, ForeignKey(tenants.c.tenant_id), primary_key=True),
    Column("approval_id", Text, primary_key=True),
    Column("action", Text),
    Column("body", JSONB),
    Column("state", Text),
    Column("requested_by", Text),
    Column("requested_at_ms", BigInteger),
    Column("decided_by", Text),
    Column("decided_at_ms", BigInteger),
)

audit: Final = Table(
    "audit",
    _metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("at_ms", BigInteger),
    Column("actor", Text),
    Column("action", Text),
    Column("detail", JSONB),
    Column("digest", Text),
)

documents: Final = Table(
    "documents",
    _metadata,
    Column("tenant_id", Text, ForeignKey(tenants.c.tenant_id), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("body", JSONB),
    Column("changed_at_ms", BigInteger),
)

keys: Final = Table(
    "keys",
    _metadata,
    Column("tenant_id", Text, ForeignKey(tenants.c.tenant_id), primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("state", Text),
    Column("public_key_pem", Text),
    Column("private_key_sealed", Text),
    Column("created_at_ms", BigInteger),
    Column("expires_at_ms", BigInteger),
)

certificates: Final = Table(
    "certificates",
    _metadata,
    Column("tenant_id", Text, ForeignKey(tenants.c.tenant_id), primary_key=True),
    Column("serial", Text, primary_key=True),
    Column("subject", Text),
    Column("certificate_pem", Text),
    Column("expires_at_ms", BigInteger),
)

operators: Final = Table(
    "operators",
    _metadata,
    Column("operator_id", Text, primary_key=True),
    Column("name", Text),
    Column("roles", ARRAY(Text)),
    Column("institution", Text),
    Column("token_digest", Text, unique=True),
    Column("created_at_ms", BigInteger),
    Column("state", Text),
    Column("requested_by", Text),
    Column("approved_by", Text),
)

installation_audit: Final = Table(
    "installation_audit",
    _metadata,
    Column("number", BigInteger, primary_key=True),
    Column("at_ms", BigInteger),
    Column("actor", Text),
    Column("action", Text),
    Column("detail", JSONB),
    Column("digest", Text),
)
