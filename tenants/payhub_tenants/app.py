"""The control plane's HTTP interface."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from litestar import Litestar, Response, Router, get
from litestar.di import Provide

from payhub_platform.errors import UnavailableError
from payhub_platform.http import exception_handlers
from payhub_tenants.authentication import aggregator_guard
from payhub_tenants.clients.api import ClientController
from payhub_tenants.clients.service import ClientService
from payhub_tenants.fields import BODY_BYTES_MAX
from payhub_tenants.identifiers.api import IdentifierController
from payhub_tenants.identifiers.service import IdentifierService
from payhub_tenants.tenants.api import TenantController
from payhub_tenants.tenants.service import TenantService


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes use."""

    tenants: TenantService
    clients: ClientService
    identifiers: IdentifierService
    is_ready: Callable[[], Awaitable[bool]]


@get("/health/live")
async def live() -> dict[str, str]:
    """Answer as long as the process turns."""
    return {"status": "live"}


def create_app(services: Services, aggregator_token: str) -> Litestar:
    """Build the aggregator's API and the health checks."""

    @get("/health/ready")
    async def ready() -> Response[dict[str, str]]:
        """Answer 200 when changes can be stored; the bus may be down, the outbox waits for it."""
        if not await services.is_ready():
            raise UnavailableError("not-ready", "The database is not there yet.")
        return Response({"status": "ready"})

    aggregator = Router(
        "/",
        route_handlers=[TenantController, ClientController, IdentifierController],
        guards=[aggregator_guard(aggregator_token)],
        dependencies={
            "tenants": Provide(lambda: services.tenants, sync_to_thread=False),
            "clients": Provide(lambda: services.clients, sync_to_thread=False),
            "identifiers": Provide(lambda: services.identifiers, sync_to_thread=False),
        },
    )
    return Litestar(
        route_handlers=[live, ready, aggregator],
        exception_handlers=exception_handlers(),
        openapi_config=None,
        logging_config=None,  # the process has set logging up
        request_max_body_size=BODY_BYTES_MAX,
    )
