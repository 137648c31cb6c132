"""What operations is told by its environment."""

from typing import Annotated

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from ``PAYHUB_<FIELD>``; see ``payhub_platform.settings``."""

    port: int
    database_url: str  # postgresql://user:password@host:port/database; owns the schema, may create roles
    nats_url: str
    operator_token: Annotated[
        str, msgspec.Meta(min_length=16)
    ]  # lets people in at /login and programs in at /api/v1
    # The installation's key; sessions and search hashes use keys derived from it.
    secrets_key: Annotated[str, msgspec.Meta(min_length=32)]
    host: str = "127.0.0.1"
    login_code: str = ""  # optional one-time code for GET /login?code=
    private_endpoints: bool = False  # webhooks may go to private addresses: on one machine, to try it out
    secure_cookies: bool = False  # set it where people come over HTTPS
    trace_file: str = ""  # where spans are written; empty for nowhere
    log_level: str = "INFO"
