"""The OAuth2 endpoints. Their errors are RFC 6749's, with the names of the later standards."""

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from authlib.oauth2 import OAuth2Error
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.types import ExceptionHandlersMap

from payhub_gateway.limits import read_body
from payhub_gateway.oauth2 import metadata, tenants
from payhub_gateway.oauth2.authorization import Authorizations
from payhub_gateway.oauth2.certificates import Certificates
from payhub_gateway.oauth2.errors import RefusedError, told
from payhub_gateway.oauth2.inspection import TokenInspection
from payhub_gateway.oauth2.service import Answer, Asked, TokenServer, refusal
from payhub_gateway.oauth2.tokens import AccessTokens
from payhub_platform.errors import PayhubError

FORM: Final = "application/x-www-form-urlencoded"
PARAMETERS_MAX: Final = 30
_JSON: Final = "application/json"
_CACHEABLE: Final = {"Cache-Control": "public, max-age=300"}


def _on_refused(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    assert isinstance(error, OAuth2Error)  # noqa: S101 - Litestar maps by class
    return told_as_json(refusal(error))


def _on_payhub(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    assert isinstance(error, PayhubError)  # noqa: S101 - Litestar maps by class
    return told_as_json(refusal(told(error)))


OAUTH2_ERRORS: Final[ExceptionHandlersMap] = {OAuth2Error: _on_refused}
"""For APIs that tell problems, but answer a standard's own refusals as it wants."""

_ALL_ERRORS: Final[ExceptionHandlersMap] = {OAuth2Error: _on_refused, PayhubError: _on_payhub}


@post(metadata.PATH_TOKEN, status_code=200, exception_handlers=_ALL_ERRORS)
async def token(
    request: Request[Any, Any, Any],
    token_server: NamedDependency[TokenServer],
    certificates: NamedDependency[Certificates],
) -> Response[bytes]:
    """Issue an access token (RFC 6749 section 3.2)."""
    asked = await read_asked(request, certificates)
    if not asked.form.get("grant_type"):
        raise RefusedError("invalid_request", "grant_type is missing.")
    return told_as_json(await token_server.token(asked))


@post(metadata.PATH_PAR, status_code=201, exception_handlers=_ALL_ERRORS)
async def push_request(
    request: Request[Any, Any, Any],
    authorizations: NamedDependency[Authorizations],
    certificates: NamedDependency[Certificates],
) -> Response[bytes]:
    """Take an authorization request (RFC 9126)."""
    return told_as_json(await authorizations.push(await read_asked(request, certificates)))


@post(metadata.PATH_INTROSPECT, status_code=200, exception_handlers=_ALL_ERRORS)
async def introspect(
    request: Request[Any, Any, Any],
    inspection: NamedDependency[TokenInspection],
    certificates: NamedDependency[Certificates],
) -> Response[bytes]:
    """Say what a token means (RFC 7662)."""
    return told_as_json(await inspection.introspect(await read_asked(request, certificates)))


@post(metadata.PATH_REVOKE, status_code=200, exception_handlers=_ALL_ERRORS)
async def revoke(
    request: Request[Any, Any, Any],
    inspection: NamedDependency[TokenInspection],
    certificates: NamedDependency[Certificates],
) -> Response[bytes]:
    """End a token (RFC 7009)."""
    return told_as_json(await inspection.revoke(await read_asked(request, certificates)))


@get(metadata.PATH_METADATA)
async def authorization_server_metadata(
    token_server: NamedDependency[TokenServer],
) -> Response[dict[str, Any]]:
    """Describe the server (RFC 8414)."""
    return Response(metadata.metadata(token_server.issuer), headers=_CACHEABLE)


@get(metadata.PATH_JWKS)
async def token_keys(access_tokens: NamedDependency[AccessTokens]) -> Response[dict[str, Any]]:
    """Publish the keys that verify access tokens (RFC 7517)."""
    return Response(access_tokens.public_keys(), headers=_CACHEABLE)


async def read_asked(request: Request[Any, Any, Any], certificates: Certificates) -> Asked:
    """Read the form of a request, and what proves whose it is.

    Raises:
        RefusedError: ``invalid_request``: no form, or a parameter that is there twice.
    """
    return Asked(
        await read_form(request),
        request.headers.getall("dpop", []),
        certificates.shown(request.scope),
        tenants.named_tenants(request),
    )


async def read_form(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Read a form in which each parameter is there once.

    Raises:
        RefusedError: ``invalid_request``.
    """
    body = await read_body(request)
    if request.content_type[0] != FORM:
        raise RefusedError("invalid_request", f"The body must be {FORM}.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=PARAMETERS_MAX
        )
    except ValueError as error:
        raise RefusedError("invalid_request", "The form cannot be read.") from error
    form = dict(pairs)
    if len(form) != len(pairs):
        raise RefusedError("invalid_request", "A parameter is repeated.")
    return form


def told_as_json(answer: Answer) -> Response[bytes]:
    """Send an answer of the OAuth2 server."""
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-type"}
    return Response(
        msgspec.json.encode(answer.body), status_code=answer.status, headers=headers, media_type=_JSON
    )
