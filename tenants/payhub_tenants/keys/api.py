"""``/v1/tenants/{id}/keys`` and ``/certificates``: rotation, requests, expiry."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_platform.http import decode_body
from payhub_tenants.authentication import calling_operator
from payhub_tenants.keys.model import ActivateKey, CertificateView, KeyView, PrepareKey, RequestCertificate
from payhub_tenants.keys.service import KeyService
from payhub_tenants.openapi import takes
from payhub_tenants.tenants.api import known_form

_prepare: Final = msgspec.json.Decoder(PrepareKey)
_activate: Final = msgspec.json.Decoder(ActivateKey)
_request: Final = msgspec.json.Decoder(RequestCertificate)


class KeyController(Controller):
    """Signing keys and certificates of a tenant."""

    path = "/v1/tenants/{tenant_id:str}"

    @get("/keys")
    async def all(self, tenant_id: FromPath[str], keys: NamedDependency[KeyService]) -> list[KeyView]:
        """List the signing keys with their expiry."""
        return await keys.all(known_form(tenant_id))

    @post("/keys", status_code=200, operation_class=takes(PrepareKey, required=False))
    async def prepare(
        self, tenant_id: FromPath[str], request: Request[Any, Any, Any], keys: NamedDependency[KeyService]
    ) -> KeyView:
        """Make or take the next signing key, once, so that the scheme can learn of it before it signs."""
        body: PrepareKey = decode_body(await request.body() or b"{}", _prepare.decode)
        return await keys.prepare(known_form(tenant_id), body, calling_operator(request).operator_id)

    @post(
        "/keys/{key_id:str}/activate",
        status_code=200,
        operation_class=takes(ActivateKey, required=False),
    )
    async def activate(
        self,
        tenant_id: FromPath[str],
        key_id: FromPath[str],
        request: Request[Any, Any, Any],
        keys: NamedDependency[KeyService],
    ) -> list[KeyView]:
        """Sign with the next key; the one before is believed for the overlap."""
        body: ActivateKey = decode_body(await request.body() or b"{}", _activate.decode)
        actor = calling_operator(request).operator_id
        return await keys.activate(known_form(tenant_id), key_id, body, actor)

    @get("/certificates")
    async def certificates(
        self, tenant_id: FromPath[str], keys: NamedDependency[KeyService]
    ) -> list[CertificateView]:
        """List the channels' certificates with their expiry."""
        return await keys.certificates(known_form(tenant_id))

    @post("/certificates", operation_class=takes(RequestCertificate))
    async def request_certificate(
        self, tenant_id: FromPath[str], request: Request[Any, Any, Any], keys: NamedDependency[KeyService]
    ) -> CertificateView:
        """Answer a certificate signing request of a channel."""
        body: RequestCertificate = decode_body(await request.body(), _request.decode)
        actor = calling_operator(request).operator_id
        return await keys.request_certificate(known_form(tenant_id), body, actor)
