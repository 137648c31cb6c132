"""Lifecycle, approvals, audit, operators, keys and terms; row level security forced on tenants' rows."""

from typing import Final

from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None

# A released migration is never edited, so it spells names out and borrows none from schema.py.
_TENANT: Final = "payhub_tenants_tenant"
_REGISTRY: Final = "payhub_tenants_registry"

_STATEMENTS: Final = (
    "ALTER TABLE tenants.tenants DROP CONSTRAINT tenants_status_check",
    """ALTER TABLE tenants.tenants ADD CONSTRAINT tenants_status_check CHECK (status IN ('requested',
      'provisioning', 'sandbox', 'certified', 'active', 'suspended', 'offboarding', 'purged'))""",
    """CREATE TABLE tenants.jobs (
      tenant_id text NOT NULL REFERENCES tenants.tenants, number bigint NOT NULL, kind text NOT NULL,
      reason text NOT NULL, started_by text NOT NULL, started_at_ms bigint NOT NULL,
      ended_at_ms bigint, waits_for text NOT NULL, PRIMARY KEY (tenant_id, number))""",
    # One job at a time: two of them could undo each other's steps.
    "CREATE UNIQUE INDEX jobs_open ON tenants.jobs (tenant_id) WHERE ended_at_ms IS NULL",
    """CREATE TABLE tenants.evidence (
      tenant_id text NOT NULL, job bigint NOT NULL, step text NOT NULL, at_ms bigint NOT NULL,
      detail jsonb NOT NULL, PRIMARY KEY (tenant_id, job, step),
      FOREIGN KEY (tenant_id, job) REFERENCES tenants.jobs)""",
    """CREATE TABLE tenants.approvals (
      tenant_id text NOT NULL REFERENCES tenants.tenants, approval_id text NOT NULL, action text NOT NULL,
      body jsonb NOT NULL, state text NOT NULL CHECK (state IN ('waiting', 'approved', 'refused')),
      requested_by text NOT NULL, requested_at_ms bigint NOT NULL, decided_by text NOT NULL,
      decided_at_ms bigint, PRIMARY KEY (tenant_id, approval_id),
      CHECK (decided_by <> requested_by))""",
    """CREATE TABLE tenants.audit (
      tenant_id text NOT NULL, number bigint NOT NULL, at_ms bigint NOT NULL, actor text NOT NULL,
      action text NOT NULL, detail jsonb NOT NULL, digest text NOT NULL, PRIMARY KEY (tenant_id, number))""",
    """CREATE TABLE tenants.documents (
      tenant_id text NOT NULL REFERENCES tenants.tenants, kind text NOT NULL, body jsonb NOT NULL,
      changed_at_ms bigint NOT NULL, PRIMARY KEY (tenant_id, kind))""",
    """CREATE TABLE tenants.keys (
      tenant_id text NOT NULL REFERENCES tenants.tenants, key_id text NOT NULL,
      state text NOT NULL CHECK (state IN ('next', 'current', 'previous')),
      public_key_pem text NOT NULL, private_key_sealed text NOT NULL, created_at_ms bigint NOT NULL,
      expires_at_ms bigint, PRIMARY KEY (tenant_id, key_id))""",
    """INSERT INTO tenants.keys SELECT tenant_id, key_id, 'current', public_key_pem, private_key_sealed,
      created_at_ms, NULL FROM tenants.tenants""",
    # Keys that were replaced before are listed with the others; of them the public half alone was kept.
    # A key's id is what ``key_id_of`` makes of it.
    r"""INSERT INTO tenants.keys
      SELECT tenant_id, substr(encode(sha256(decode(regexp_replace(earlier ->> 'public_key_pem',
          '-----[^-]+-----|\s', '', 'g'), 'base64')), 'hex'), 1, 16),
        'previous', earlier ->> 'public_key_pem', '', created_at_ms,
        CAST(earlier ->> 'valid_until_ms' AS bigint)
      FROM tenants.tenants, jsonb_array_elements(earlier_keys) AS earlier
      ON CONFLICT DO NOTHING""",
    """CREATE TABLE tenants.certificates (
      tenant_id text NOT NULL REFERENCES tenants.tenants, serial text NOT NULL, subject text NOT NULL,
      certificate_pem text NOT NULL, expires_at_ms bigint NOT NULL, PRIMARY KEY (tenant_id, serial))""",
    """CREATE TABLE tenants.operators (
      operator_id text PRIMARY KEY, name text NOT NULL, roles text[] NOT NULL, institution text,
      token_digest text NOT NULL UNIQUE, created_at_ms bigint NOT NULL)""",
)

# Roles belong to the whole server, so they may be there already. Without INHERIT the policies of a role
# hold only after SET ROLE.
_ROLE: Final = (
    """DO $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS;
      END IF;
    END $$""",
    "GRANT {role} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE",
    "GRANT USAGE ON SCHEMA tenants TO {role}",
)
_TABLES: Final = (
    "tenants",
    "clients",
    "party_identifiers",
    "jobs",
    "evidence",
    "approvals",
    "audit",
    "documents",
    "keys",
    "certificates",
)
_OWN: Final = "tenant_id = nullif(current_setting('app.tenant', true), '')"
_POLICIES: Final = (
    "ALTER TABLE tenants.{table} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE tenants.{table} FORCE ROW LEVEL SECURITY",
    f"CREATE POLICY one_tenant ON tenants.{{table}} TO {_TENANT} USING ({_OWN}) WITH CHECK ({_OWN})",
)
_GRANTS: Final = (
    f"GRANT SELECT, INSERT, UPDATE ON tenants.tenants, tenants.jobs, tenants.approvals TO {_TENANT}",
    # No UPDATE and no DELETE: what was recorded stays as it was recorded.
    f"GRANT SELECT, INSERT ON tenants.evidence, tenants.audit TO {_TENANT}",
    f"""GRANT SELECT, INSERT, UPDATE, DELETE ON tenants.clients, tenants.party_identifiers,
      tenants.documents, tenants.keys, tenants.certificates TO {_TENANT}""",
    # The registry lists and publishes tenants; it sees no member, no audit and no tenant's own documents.
    f"CREATE POLICY all_tenants ON tenants.tenants TO {_REGISTRY} USING (true) WITH CHECK (true)",
    f"CREATE POLICY all_tenants ON tenants.clients FOR SELECT TO {_REGISTRY} USING (true)",
    f"CREATE POLICY all_tenants ON tenants.jobs FOR SELECT TO {_REGISTRY} USING (true)",
    f"""CREATE POLICY named ON tenants.documents FOR SELECT TO {_REGISTRY}
      USING (kind IN ('limits', 'placement', 'identifier-file'))""",
    f"GRANT SELECT, UPDATE ON tenants.tenants TO {_REGISTRY}",
    f"GRANT SELECT ON tenants.clients, tenants.jobs, tenants.documents TO {_REGISTRY}",
    f"GRANT SELECT, INSERT, DELETE ON tenants.operators TO {_REGISTRY}",
)


def upgrade() -> None:
    """Make the tables, the roles and the policies."""
    roles = [line.format(role=role) for role in (_TENANT, _REGISTRY) for line in _ROLE]
    policies = [line.format(table=table) for table in _TABLES for line in _POLICIES]
    for statement in (*_STATEMENTS, *roles, *policies, *_GRANTS):
        op.execute(statement)


def downgrade() -> None:
    """Drop what came with this version; tenants that are neither active nor suspended stop it."""
    for table in ("clients", "party_identifiers", "tenants"):
        op.execute(f"DROP POLICY one_tenant ON tenants.{table}")
        op.execute(f"DROP POLICY IF EXISTS all_tenants ON tenants.{table}")
        op.execute(f"ALTER TABLE tenants.{table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE tenants.{table} DISABLE ROW LEVEL SECURITY")
    op.execute(
        "DROP TABLE tenants.evidence, tenants.jobs, tenants.approvals, tenants.audit, "
        "tenants.documents, tenants.keys, tenants.certificates, tenants.operators"
    )
    op.execute("ALTER TABLE tenants.tenants DROP CONSTRAINT tenants_status_check")
    op.execute(
        "ALTER TABLE tenants.tenants ADD CONSTRAINT tenants_status_check "
        "CHECK (status IN ('active', 'suspended'))"
    )
