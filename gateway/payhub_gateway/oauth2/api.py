"""The OAuth2 endpoints. The token endpoint's errors are RFC 6749's; all others are problem details."""

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from payhub_gateway.limits import read_body
from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.service import TokenServer
from payhub_gateway.oauth2.tokens import AccessTokens

FORM: Final = "application/x-www-form-urlencoded"
PARAMETERS_MAX: Final = 20
_JSON: Final = "application/json"
_CACHEABLE: Final = {"Cache-Control": "public, max-age=300"}
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_BAD_REQUEST: Final = 400


@post("/oauth2/token", status_code=200)
async def token(
    request: Request[Any, Any, Any],
    token_server: NamedDependency[TokenServer],
) -> Response[bytes]:
    """Issue an access token (RFC 6749 section 4.4, RFC 7523 section 2.2)."""
    body = await read_body(request)
    if request.content_type[0] != FORM:
        return _refused(f"The body must be {FORM}.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=PARAMETERS_MAX
        )
    except ValueError:
        return _refused("The form cannot be read.")
    form = dict(pairs)
    if len(form) != len(pairs):
        return _refused("A parameter is repeated.")
    if not form.get("grant_type"):
        return _refused("grant_type is missing.")
    answered = token_server.answer(form)
    headers = {name: value for name, value in answered.headers.items() if name.lower() != "content-type"}
    return Response(
        msgspec.json.encode(answered.body), status_code=answered.status, headers=headers, media_type=_JSON
    )


@get("/.well-known/oauth-authorization-server")
async def authorization_server_metadata(
    token_server: NamedDependency[TokenServer],
) -> Response[dict[str, Any]]:
    """Describe the server (RFC 8414)."""
    return Response(model.metadata(token_server.issuer), headers=_CACHEABLE)


@get("/oauth2/jwks")
async def token_keys(access_tokens: NamedDependency[AccessTokens]) -> Response[dict[str, Any]]:
    """Publish the keys that verify access tokens (RFC 7517)."""
    return Response(access_tokens.public_keys(), headers=_CACHEABLE)


def _refused(description: str) -> Response[bytes]:
    body = msgspec.json.encode({"error": "invalid_request", "error_description": description})
    return Response(body, status_code=_BAD_REQUEST, headers=_NO_STORE, media_type=_JSON)
