"""``/v1/tenants/{id}/limits``, ``/fees``, ``/currencies`` and ``/direct-payments``."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_platform.http import decode_body
from payhub_tenants.authentication import calling_operator
from payhub_tenants.openapi import takes
from payhub_tenants.tenants.api import known_form
from payhub_tenants.terms.model import Currencies, DirectPayments, Fees, Limits
from payhub_tenants.terms.service import TermsService

_fees: Final = msgspec.json.Decoder(Fees)
_currencies: Final = msgspec.json.Decoder(Currencies)
_direct: Final = msgspec.json.Decoder(DirectPayments)


class TermsController(Controller):
    """Currencies, limits and fees of a tenant, and whom it pays directly."""

    path = "/v1/tenants/{tenant_id:str}"

    @get("/limits")
    async def limits(self, tenant_id: FromPath[str], terms: NamedDependency[TermsService]) -> Limits:
        """Return the limits that hold."""
        return await terms.limits(known_form(tenant_id))

    @get("/fees")
    async def fees(self, tenant_id: FromPath[str], terms: NamedDependency[TermsService]) -> Fees:
        """Return the fees."""
        return await terms.fees(known_form(tenant_id))

    @put("/fees", operation_class=takes(Fees))
    async def set_fees(
        self, tenant_id: FromPath[str], request: Request[Any, Any, Any], terms: NamedDependency[TermsService]
    ) -> Fees:
        """Set the fees."""
        body: Fees = decode_body(await request.body(), _fees.decode)
        return await terms.set_fees(known_form(tenant_id), body, calling_operator(request).operator_id)

    @get("/currencies")
    async def currencies(self, tenant_id: FromPath[str], terms: NamedDependency[TermsService]) -> Currencies:
        """Return the currencies besides the main one."""
        return await terms.currencies(known_form(tenant_id))

    @put("/currencies", operation_class=takes(Currencies))
    async def set_currencies(
        self, tenant_id: FromPath[str], request: Request[Any, Any, Any], terms: NamedDependency[TermsService]
    ) -> Currencies:
        """Set the currencies besides the main one."""
        body: Currencies = decode_body(await request.body(), _currencies.decode)
        operator = calling_operator(request).operator_id
        return await terms.set_currencies(known_form(tenant_id), body, operator)

    @get("/direct-payments")
    async def direct_payments(
        self, tenant_id: FromPath[str], terms: NamedDependency[TermsService]
    ) -> DirectPayments:
        """Return with whom the institution pays without the scheme, where they name it too."""
        return await terms.direct_payments(known_form(tenant_id))

    @put("/direct-payments", operation_class=takes(DirectPayments))
    async def set_direct_payments(
        self, tenant_id: FromPath[str], request: Request[Any, Any, Any], terms: NamedDependency[TermsService]
    ) -> DirectPayments:
        """Set with whom the institution pays without the scheme; each of them must name it too."""
        body: DirectPayments = decode_body(await request.body(), _direct.decode)
        operator = calling_operator(request).operator_id
        return await terms.set_direct_payments(known_form(tenant_id), body, operator)
