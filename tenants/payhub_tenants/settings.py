"""What the control plane is told by its environment."""

from typing import Annotated

from msgspec import Meta, Struct

Secret = Annotated[str, Meta(min_length=16)]


class Settings(Struct, frozen=True, kw_only=True):
    """Read from ``PAYHUB_<FIELD>``; see ``payhub_platform.settings``."""

    port: Annotated[int, Meta(ge=1, le=65_535)]
    database_url: str  # postgresql://user:password@host:port/database; owns the schema ``tenants``
    nats_url: str
    aggregator_token: Secret
    secrets_key: str  # payhub_platform.security.secrets.SecretBox
    engines: dict[str, str]  # engine id -> base URL, or 1=URL,2=URL of its replicas; placements name these
    internal_token: str = ""  # the credential between payhub's own processes; without it no engine answers
    engine_capacity_per_s: dict[str, int] = {}  # measured payments a second; an engine not named: 500
    keys_folder: str = ""  # where tenants' keys are, sealed with secrets_key; private to this process
    vault_url: str = ""  # HashiCorp Vault or OpenBao, where tenants' keys are in its Transit engine instead
    vault_token_file: str = ""  # read at each call, so that others may renew it
    vault_mount: str = "transit"
    vault_ca_file: str = ""  # PEM; trusted instead of the public authorities
    sandbox_url: str = ""  # of the sandbox that certification runs against; it answers its own machine alone
    private_endpoints: bool = False  # webhooks may go to private addresses: on one machine, to try it out
    host: str = "127.0.0.1"
    log_level: str = "INFO"
