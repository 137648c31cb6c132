"""What every HTTP service of ours shares: problem details, and the parts of a Litestar app."""

import logging
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotAuthorizedException, ValidationException
from litestar.types import ExceptionHandlersMap

from payhub_platform.errors import (
    PROBLEM_MEDIA_TYPE,
    PROBLEM_TYPE_PREFIX,
    InvalidInputError,
    PayhubError,
    Problem,
    problem_of,
)

_logger = logging.getLogger(__name__)

BODY_BYTES_MAX = 256 * 1024


def problem_response(error: Exception, path: str) -> Response[bytes]:
    """Answer with an error as application/problem+json."""
    problem, headers = problem_of(error, path)
    body = msgspec.json.encode(problem)
    return Response(body, status_code=problem.status, headers=headers, media_type=PROBLEM_MEDIA_TYPE)


def exception_handlers() -> ExceptionHandlersMap:
    """Return the handlers that turn every exception of a Litestar app into a problem."""
    return {PayhubError: _on_payhub, HTTPException: _on_http, Exception: _on_unexpected}


def decode_body(body: bytes, decode: Callable[[bytes], Any]) -> Any:
    """Decode a JSON body with a msgspec decoder and say what was wrong, and where.

    Raises:
        InvalidInputError: ``malformed-json``, ``unknown-field`` or ``invalid-field``.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        reason, _, path = text.partition(" - at `")
        unknown = "unknown field" in reason
        where = _pointer(path.removesuffix("`"))
        if unknown:
            where += "/" + reason.rpartition("`")[0].rpartition("`")[2]
        code = "unknown-field" if unknown else "invalid-field"
        raise InvalidInputError(code, reason + ".", where or "/") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError("malformed-json", f"The body is not JSON: {error}.", "/") from error


def _pointer(path: str) -> str:
    """Turn msgspec's ``$.amount.currency`` into the JSON pointer ``/amount/currency``."""
    return path.removeprefix("$").replace(".", "/").replace("[", "/").replace("]", "")


def _on_payhub(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    return problem_response(error, request.url.path)


def _on_http(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    assert isinstance(error, HTTPException)  # noqa: S101 - Litestar maps by class
    if isinstance(error, ValidationException):
        return problem_response(InvalidInputError("invalid-request", error.detail), request.url.path)
    code = "unauthenticated" if isinstance(error, NotAuthorizedException) else "http-error"
    codes = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}
    code = codes.get(error.status_code, code)
    problem = Problem(
        type=PROBLEM_TYPE_PREFIX + code,
        title=error.detail or code,
        status=error.status_code,
        code=code,
        detail=error.detail,
        instance=request.url.path,
    )
    return Response(
        msgspec.json.encode(problem),
        status_code=error.status_code,
        headers=error.headers or {},
        media_type=PROBLEM_MEDIA_TYPE,
    )


def _on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    # Only the first parts of the path: what follows may be a member's identifier.
    resource = "/".join(request.url.path.split("/")[:3])
    _logger.error("unexpected error at %s", resource, exc_info=error)
    return problem_response(error, request.url.path)
