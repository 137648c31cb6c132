"""``/v1/tenants/{id}/certify`` runs the payment suite; ``.../certification`` tells how far it is."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_platform.http import decode_body
from payhub_tenants.authentication import calling_operator
from payhub_tenants.certification.model import CertificationView, CertifyMember
from payhub_tenants.certification.service import CertificationService
from payhub_tenants.openapi import takes
from payhub_tenants.tenants.api import known_form

_member: Final = msgspec.json.Decoder(CertifyMember)


class CertificationController(Controller):
    """The payment suite, run by payhub itself."""

    path = "/v1/tenants/{tenant_id:str}"

    @post("/certify", status_code=202, operation_class=takes(CertifyMember, required=False))
    async def certify(
        self,
        tenant_id: FromPath[str],
        request: Request[Any, Any, Any],
        certification: NamedDependency[CertificationService],
    ) -> CertificationView:
        """Run the suite; a tenant whose cases all pass is certified. The body may name the member."""
        content = await request.body()
        member: CertifyMember | None = decode_body(content, _member.decode) if content else None
        actor = calling_operator(request).operator_id
        return await certification.start(known_form(tenant_id), member, actor)

    @get("/certification")
    async def read(
        self, tenant_id: FromPath[str], certification: NamedDependency[CertificationService]
    ) -> CertificationView:
        """Return the newest run: each case with what was expected, what was found and what to mend."""
        return await certification.view(known_form(tenant_id))
