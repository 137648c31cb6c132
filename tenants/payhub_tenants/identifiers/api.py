"""``/v1/tenants/{id}/party-identifiers``: the aggregator makes members reachable."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from payhub_platform.http import decode_body
from payhub_tenants.authentication import calling_operator
from payhub_tenants.identifiers.errors import IdentifierNotFoundError
from payhub_tenants.identifiers.file import FILE_BYTES_MAX, FileView
from payhub_tenants.identifiers.files import IdentifierFiles
from payhub_tenants.identifiers.model import (
    IdentifierBody,
    IdentifierKey,
    IdentifierView,
    MoveIdentifier,
    RegisterIdentifiers,
)
from payhub_tenants.identifiers.service import IdentifierService
from payhub_tenants.openapi import takes, takes_file
from payhub_tenants.tenants.api import known_form

AnyRequest = Request[Any, Any, Any]

_register: Final = msgspec.json.Decoder(RegisterIdentifiers)
_move: Final = msgspec.json.Decoder(MoveIdentifier)


class IdentifierController(Controller):
    """Party identifiers of a tenant."""

    path = "/v1/tenants/{tenant_id:str}/party-identifiers"

    @post("/", status_code=200, operation_class=takes(RegisterIdentifiers))
    async def register(
        self, tenant_id: FromPath[str], request: AnyRequest, identifiers: NamedDependency[IdentifierService]
    ) -> list[IdentifierView]:
        """Register identifiers; 200 tells the outcome of each, in the order of the request."""
        body: RegisterIdentifiers = decode_body(await request.body(), _register.decode)
        return await identifiers.register(known_form(tenant_id), body)

    @get("/{type_:str}/{value:str}")
    async def find(
        self,
        tenant_id: FromPath[str],
        type_: FromPath[str],
        value: FromPath[str],
        identifiers: NamedDependency[IdentifierService],
        sub_id: FromQuery[str] = "",
    ) -> IdentifierView:
        """Return one identifier."""
        return await identifiers.find(_key(tenant_id, type_, value, sub_id))

    @put("/{type_:str}/{value:str}/account", operation_class=takes(MoveIdentifier))
    async def move(
        self,
        tenant_id: FromPath[str],
        type_: FromPath[str],
        value: FromPath[str],
        request: AnyRequest,
        identifiers: NamedDependency[IdentifierService],
        sub_id: FromQuery[str] = "",
    ) -> IdentifierView:
        """Give an identifier to another account of the institution."""
        body: MoveIdentifier = decode_body(await request.body(), _move.decode)
        actor = calling_operator(request).operator_id
        return await identifiers.move(_key(tenant_id, type_, value, sub_id), body.account_id, actor)

    @delete("/{type_:str}/{value:str}")
    async def withdraw(
        self,
        tenant_id: FromPath[str],
        type_: FromPath[str],
        value: FromPath[str],
        request: AnyRequest,
        identifiers: NamedDependency[IdentifierService],
        sub_id: FromQuery[str] = "",
    ) -> None:
        """Take an identifier from the scheme and the core bank."""
        actor = calling_operator(request).operator_id
        await identifiers.withdraw(_key(tenant_id, type_, value, sub_id), actor)


class IdentifierFileController(Controller):
    """A file of party identifiers, one at a time."""

    path = "/v1/tenants/{tenant_id:str}/party-identifier-file"

    @put("/", status_code=202, request_max_body_size=FILE_BYTES_MAX, operation_class=takes_file("text/csv"))
    async def put(
        self, tenant_id: FromPath[str], request: AnyRequest, files: NamedDependency[IdentifierFiles]
    ) -> FileView:
        """Take a CSV file with the columns type, value, subId, accountId; GET tells how far it is."""
        actor = calling_operator(request).operator_id
        return await files.put(known_form(tenant_id), await request.body(), actor)

    @get("/")
    async def read(self, tenant_id: FromPath[str], files: NamedDependency[IdentifierFiles]) -> FileView:
        """Return how far the newest file is, with the lines that were refused."""
        return await files.get(known_form(tenant_id))


def _key(tenant_id: str, type_: str, value: str, sub_id: str) -> IdentifierKey:
    """Return the key of an identifier from a path; what cannot be one is not looked for."""
    fields = {"type": type_, "value": value, "accountId": "-", **({"subId": sub_id} if sub_id else {})}
    try:
        msgspec.convert(fields, IdentifierBody)
    except msgspec.ValidationError:
        raise IdentifierNotFoundError from None
    return known_form(tenant_id), type_, value, sub_id
