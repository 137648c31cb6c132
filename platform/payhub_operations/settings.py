"""What operations is told by its environment."""

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from ``PAYHUB_<FIELD>``; see ``payhub_platform.settings``."""

    port: int
    database_url: str  # postgresql://user:password@host:port/database; owns the schema, may create roles
    nats_url: str
    operator_token: str  # lets people in at /login and programs in at /api/v1
    secrets_key: str  # the installation's key; sessions and search hashes use keys derived from it
    host: str = "127.0.0.1"
    login_code: str = ""  # optional one-time code for GET /login?code=
    secure_cookies: bool = False  # set it where people come over HTTPS
    trace_file: str = ""  # where spans are written; empty for nowhere
    log_level: str = "INFO"
