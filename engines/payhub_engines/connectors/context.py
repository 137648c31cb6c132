"""What every connector may use, injected once."""

from collections.abc import Callable
from dataclasses import dataclass

from payhub_engines.connectors.neighbours import Neighbours
from payhub_platform.clock import Clock
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.http_client import HttpClient
from payhub_platform.security.secrets import SecretBox
from payhub_platform.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """Connectors are stateless; this is all they hold."""

    tenant: Callable[[str], TenantConfig]  # raises UnavailableError where the tenant is not known
    http: HttpClient
    secrets: SecretBox
    clock: Clock
    tracing: Tracing
    neighbours: Neighbours | None = None  # none where payments are made through the scheme alone
