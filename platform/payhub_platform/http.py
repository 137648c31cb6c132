"""What every HTTP service of ours shares: problem details, and the parts of a Litestar app."""

import json
import logging
import re
from collections.abc import Callable
from typing import Any, Final

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

_SERVER_ERROR: Final = 500
_HTTP_CODES: Final = {
    400: "invalid-request",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
}
# msgspec's "what - at `$.where`"; a name in "what" may hold anything.
_REFUSAL: Final = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN_FIELD: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING_PARAMETER: Final = re.compile(r"Missing required (?P<source>\w+) parameter '(?P<key>[^']+)'")


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
        InvalidInputError: ``malformed-json``, ``unknown-field``, ``invalid-field`` or ``duplicate-field``.
    """
    try:
        decoded = decode(body)
        # Of two amounts msgspec takes the last one, another reader the first: which one is meant is unknown.
        repeated = _repeated_in(_PAIRS.decode(body.decode()))
    except msgspec.ValidationError as error:
        raise _misfit(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError("malformed-json", f"The body is not JSON: {error}.", "/") from error
    except RecursionError as error:
        raise InvalidInputError("malformed-json", "The body is nested too deeply.", "/") from error
    if repeated:
        raise InvalidInputError("duplicate-field", "The field is there more than once.", repeated)
    return decoded


def _misfit(text: str) -> InvalidInputError:
    refusal = _REFUSAL.fullmatch(text)
    what, where = (refusal["what"], _pointer(refusal["path"] or "")) if refusal else (text, "")
    unknown = _UNKNOWN_FIELD.fullmatch(what)
    if unknown is None:
        return InvalidInputError("invalid-field", what + ".", where or "/")
    return InvalidInputError("unknown-field", what + ".", where + _segment(unknown["name"]))


def _pointer(path: str) -> str:
    """Turn msgspec's ``.amount.currency`` into the JSON pointer ``/amount/currency``."""
    return path.replace(".", "/").replace("[", "/").replace("]", "")


def _segment(name: str) -> str:
    """Write a field's name as a part of a JSON pointer (RFC 6901 section 3)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


class _Repeated(str):
    """Stands for an object that has a field twice; its text is the pointer to the field."""

    __slots__ = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Repeated:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            return _Repeated(_segment(name))
        if inside := _repeated_in(value):
            return _Repeated(_segment(name) + inside)
        fields[name] = value
    return fields


def _repeated_in(value: Any) -> str:
    """Return the pointer to a field that is there twice; empty where none is."""
    if isinstance(value, _Repeated):
        return str(value)
    if isinstance(value, list):
        for index, item in enumerate(value):
            if inside := _repeated_in(item):
                return f"/{index}{inside}"
    return ""


_PAIRS: Final = json.JSONDecoder(object_pairs_hook=_object, parse_int=str, parse_float=str)


def _on_payhub(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    return problem_response(error, request.url.path)


def _on_http(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    assert isinstance(error, HTTPException)  # noqa: S101 - Litestar maps by class
    if isinstance(error, ValidationException):
        return problem_response(_parameter(error), request.url.path)
    if error.status_code >= _SERVER_ERROR:
        # A lost client or a defect of ours: one line in the log, and nothing of it in the answer.
        _logger.warning("failed at %s: %s", _resource(request), error.detail)
        return problem_response(error, request.url.path)
    code = "unauthenticated" if isinstance(error, NotAuthorizedException) else "http-error"
    code = _HTTP_CODES.get(error.status_code, code)
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


def _parameter(error: ValidationException) -> InvalidInputError:
    """Say which parameter does not fit; Litestar's own sentence repeats the whole query instead."""
    for misfit in error.extra if isinstance(error.extra, list) else []:
        source, key = misfit.get("source", ""), str(misfit.get("key", ""))
        where = _segment(key) if source == "body" else f"{getattr(source, 'value', source)}:{key}"
        return InvalidInputError("invalid-request", f"{misfit.get('message')}.", where if key else "")
    missing = _MISSING_PARAMETER.match(error.detail)
    where = f"{missing['source']}:{missing['key']}" if missing else ""
    return InvalidInputError("invalid-request", error.detail, where)


def _resource(request: Request[Any, Any, Any]) -> str:
    """Return only the first parts of the path: what follows may be a member's identifier."""
    return "/".join(request.url.path.split("/")[:3])


def _on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    _logger.error("unexpected error at %s", _resource(request), exc_info=error)
    return problem_response(error, request.url.path)
