"""The HTTP API of dynamic client registration (RFC 7591) and its management (RFC 7592)."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_gateway.channel.access import Access
from payhub_gateway.limits import read_body
from payhub_gateway.oauth2.api import OAUTH2_ERRORS, told_as_json
from payhub_gateway.oauth2.errors import InvalidTokenError, RefusedError
from payhub_gateway.oauth2.metadata import PATH_REGISTER
from payhub_gateway.oauth2.model import SCOPE_REGISTER
from payhub_gateway.oauth2.records import RegisteredClient
from payhub_gateway.oauth2.registration import Registrations
from payhub_gateway.oauth2.service import Answer, TokenServer
from payhub_platform.errors import InvalidInputError
from payhub_platform.http import decode_body

_PATH_CLIENT: Final = PATH_REGISTER + "/{client_id:str}"
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_METADATA: Final = msgspec.json.Decoder(dict[str, Any])
_CREATED: Final = 201
_OK: Final = 200


@post(PATH_REGISTER, status_code=_CREATED, exception_handlers=OAUTH2_ERRORS)
async def register_client(
    request: Request[Any, Any, Any],
    token_server: NamedDependency[TokenServer],
    registrations: NamedDependency[Registrations],
    access: NamedDependency[Access],
) -> Response[bytes]:
    """Register a client in the name of the tenant whose token allows it."""
    caller = access.require(request, SCOPE_REGISTER)
    client, token = await registrations.register(await _read(request), caller.claims, caller.scopes)
    return _told(token_server, client, token, _CREATED)


@get(_PATH_CLIENT)
async def read_client(
    request: Request[Any, Any, Any],
    client_id: FromPath[str],
    token_server: NamedDependency[TokenServer],
    registrations: NamedDependency[Registrations],
) -> Response[bytes]:
    """Tell a client its registration."""
    token = _bearer(request)
    return _told(token_server, await registrations.read(client_id, token), token, _OK)


@put(_PATH_CLIENT, exception_handlers=OAUTH2_ERRORS)
async def replace_client(
    request: Request[Any, Any, Any],
    client_id: FromPath[str],
    token_server: NamedDependency[TokenServer],
    registrations: NamedDependency[Registrations],
) -> Response[bytes]:
    """Replace a client's metadata."""
    token = _bearer(request)
    changed = await registrations.replace(client_id, token, await _read(request))
    return _told(token_server, changed, token, _OK)


@delete(_PATH_CLIENT, status_code=204)
async def remove_client(
    request: Request[Any, Any, Any],
    client_id: FromPath[str],
    registrations: NamedDependency[Registrations],
) -> None:
    """Remove a registration."""
    await registrations.remove(client_id, _bearer(request))


async def _read(request: Request[Any, Any, Any]) -> dict[str, Any]:
    try:
        sent: dict[str, Any] = decode_body(await read_body(request), _METADATA.decode)
    except InvalidInputError as error:
        raise RefusedError("invalid_client_metadata", "The body is no JSON object.") from error
    return sent


def _told(server: TokenServer, client: RegisteredClient, token: str, status: int) -> Response[bytes]:
    body = {
        "client_id": client.client_id,
        "client_id_issued_at": client.issued_at_s,
        "registration_access_token": token,
        "registration_client_uri": f"{server.issuer}{PATH_REGISTER}/{client.client_id}",
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        **client.metadata,
    }
    return told_as_json(Answer(status, body, dict(_NO_STORE)))


def _bearer(request: Request[Any, Any, Any]) -> str:
    """Return the token that manages a registration; RFC 7592 section 2 has it sent as a bearer token."""
    sent = request.headers.getall("authorization", [])
    scheme, _, token = (sent[0] if len(sent) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise InvalidTokenError("Send the registration access token.", "missing-token")
    return token
