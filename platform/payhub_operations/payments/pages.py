"""The pages: search, one payment, and how far the audit got."""

from typing import Any
from urllib.parse import urlencode

from litestar import Controller, Request, get
from litestar.response import Redirect, Template
from litestar.status_codes import HTTP_303_SEE_OTHER

from payhub_operations.audit import repository as audit_repository
from payhub_operations.database import Database
from payhub_operations.payments.model import STATES, PaymentPage
from payhub_operations.payments.service import DIRECTIONS, PaymentService, read_direction, read_search
from payhub_operations.sessions.api import require_session


@get("/", include_in_schema=False)
async def home() -> Redirect:
    """Go to the search."""
    return Redirect("/payments", status_code=HTTP_303_SEE_OTHER)


class PaymentPages(Controller):
    """Pages for operators; every filter is in the address."""

    guards = (require_session,)
    include_in_schema = False

    @get("/payments")
    async def search(
        self, request: Request[Any, Any, Any], payments: PaymentService, tenant: str = ""
    ) -> Template:
        """Show the search and one page of what it found; without a tenant, the first one's payments."""
        search = read_search(request.query_params)
        tenants = await payments.tenants()
        tenant = tenant or (tenants[0] if tenants else "")
        page = await payments.search(tenant, search) if tenant else PaymentPage(payments=[], next_cursor=None)
        filters = {
            "tenant": tenant,
            "q": search.text,
            "state": search.state or "",
            "direction": search.direction or "",
        }
        older = urlencode({**filters, "before": page.next_cursor}) if page.next_cursor else ""
        context = {
            "tenants": tenants,
            "filters": filters,
            "states": STATES,
            "directions": DIRECTIONS,
            "page": page,
            "older": f"/payments?{older}" if older else "",
            "newest": f"/payments?{urlencode(filters)}" if search.before else "",
        }
        return Template("payments.html", context=context)

    @get("/payments/{tenant:str}/{payment:str}")
    async def detail(
        self, payments: PaymentService, tenant: str, payment: str, direction: str = ""
    ) -> Template:
        """Show one payment."""
        detail = await payments.detail(tenant, payment, read_direction(direction))
        return Template("payment.html", context={"detail": detail, "payment": detail.payment})

    @get("/audit")
    async def audit(self, database: Database) -> Template:
        """Show how far the engines' logs are stored."""
        async with database.overseer() as connection:
            overview = await audit_repository.overview(connection)
        return Template("audit.html", context={"overview": overview})
