"""The control plane's HTTP interface."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from litestar import Litestar, Response, Router, get
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler

from payhub_platform.errors import UnavailableError
from payhub_platform.http import exception_handlers
from payhub_tenants.approvals.api import ApprovalController
from payhub_tenants.approvals.service import ApprovalService
from payhub_tenants.audit.api import AuditController
from payhub_tenants.audit.service import AuditService
from payhub_tenants.authentication import operator_guard
from payhub_tenants.certification.api import CertificationController
from payhub_tenants.certification.service import CertificationService
from payhub_tenants.clients.api import ClientController
from payhub_tenants.clients.service import ClientService
from payhub_tenants.endpoints.api import EndpointController
from payhub_tenants.endpoints.service import EndpointService
from payhub_tenants.fields import BODY_BYTES_MAX
from payhub_tenants.identifiers.api import IdentifierController, IdentifierFileController
from payhub_tenants.identifiers.files import IdentifierFiles
from payhub_tenants.identifiers.service import IdentifierService
from payhub_tenants.keys.api import KeyController
from payhub_tenants.keys.service import KeyService
from payhub_tenants.lifecycle.api import LifecycleController
from payhub_tenants.lifecycle.service import LifecycleService
from payhub_tenants.operators.api import OperatorController
from payhub_tenants.operators.service import OperatorService
from payhub_tenants.placement.api import PlacementController
from payhub_tenants.placement.service import PlacementService
from payhub_tenants.tenants.api import TenantController
from payhub_tenants.tenants.connections import ConnectionService
from payhub_tenants.tenants.service import TenantService
from payhub_tenants.terms.api import TermsController
from payhub_tenants.terms.service import TermsService

_CONTROLLERS: Final[tuple[ControllerRouterHandler, ...]] = (
    TenantController,
    PlacementController,
    LifecycleController,
    CertificationController,
    ApprovalController,
    ClientController,
    KeyController,
    TermsController,
    EndpointController,
    IdentifierController,
    IdentifierFileController,
    AuditController,
    OperatorController,
)


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes use; a route asks for one by its name here."""

    audit: AuditService
    tenants: TenantService
    placements: PlacementService
    lifecycle: LifecycleService
    certification: CertificationService
    approvals: ApprovalService
    clients: ClientService
    keys: KeyService
    terms: TermsService
    endpoints: EndpointService
    connections: ConnectionService
    identifiers: IdentifierService
    files: IdentifierFiles
    operators: OperatorService
    is_ready: Callable[[], Awaitable[bool]]


@get("/health/live")
async def live() -> dict[str, str]:
    """Answer as long as the process turns."""
    return {"status": "live"}


def create_app(services: Services, aggregator_token: str) -> Litestar:
    """Build the aggregator's API, its OpenAPI 3.1 document (/openapi/openapi.json), health checks."""

    @get("/health/ready")
    async def ready() -> Response[dict[str, str]]:
        """Answer 200 when changes can be stored; the bus may be down, the outbox waits for it."""
        if not await services.is_ready():
            raise UnavailableError("not-ready", "The database is not there yet.")
        return Response({"status": "ready"})

    names = [name for name in Services.__slots__ if name != "is_ready"]
    aggregator = Router(
        "/",
        route_handlers=list(_CONTROLLERS),
        guards=[operator_guard(aggregator_token, services.operators)],
        dependencies={name: _provide(getattr(services, name)) for name in names},
        security=[{"bearer": []}],
    )
    return Litestar(
        route_handlers=[live, ready, aggregator],
        exception_handlers=exception_handlers(),
        openapi_config=OpenAPIConfig(
            title="payhub tenants",
            version="1",
            path="/openapi",
            components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}),
        ),
        logging_config=None,  # the process has set logging up
        request_max_body_size=BODY_BYTES_MAX,
    )


def _provide(service: Any) -> Provide:
    return Provide(lambda: service, sync_to_thread=False)
