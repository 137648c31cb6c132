"""``/v1/tenants/{id}/audit``: who did what to a tenant."""

from typing import Annotated, Final

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, Parameter

from payhub_tenants.audit.model import AuditPage
from payhub_tenants.audit.service import AuditService
from payhub_tenants.tenants.api import known_form

PAGE_MAX: Final = 200


class AuditController(Controller):
    """A tenant's audit."""

    path = "/v1/tenants/{tenant_id:str}/audit"

    @get("/")
    async def page(
        self,
        tenant_id: FromPath[str],
        audit: NamedDependency[AuditService],
        after: Annotated[int, Parameter(ge=0, le=2**62)] = 0,
        limit: Annotated[int, Parameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> AuditPage:
        """List entries in order; ``digest`` binds each to the one before."""
        return await audit.page(known_form(tenant_id), after, limit)
