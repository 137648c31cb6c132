"""A message as it is written: the path, the headers and the body that are sent and signed."""

from typing import Final
from urllib.parse import quote

import msgspec

from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_engines.connectors.mojaloop import media_types, ulids
from payhub_engines.connectors.mojaloop.iso20022.writing import Frame, write
from payhub_engines.connectors.mojaloop.outgoing import Outgoing, fitted
from payhub_platform.contracts.tenant import SchemeConnection, TenantConfig

_SEGMENT_SAFE: Final = "!$&'()*+,;=:@"  # RFC 3986 pchar: written as they are
_REQUESTS: Final = frozenset(("GET", "POST", "DELETE"))
_PARTIES: Final = "parties"


def uri_of(message: Outgoing, scheme: SchemeConnection) -> str:
    """Return the path from the resource on, encoded, as FSPIOP-URI has it."""
    resource = message.path[0]
    # The path of a party is its identifier, which may look like an id of ours and is none.
    has_ids = media_types.is_iso(resource, scheme) and resource != _PARTIES
    segments = (ulids.written(segment) for segment in message.path) if has_ids else message.path
    return "/" + "/".join(quote(segment, safe=_SEGMENT_SAFE) for segment in segments)


def data_of(message: Outgoing, tenant: TenantConfig, at_ms: int) -> bytes:
    """Return compact JSON: validators read it and write it again before they verify the signature.

    ISO 20022 says when a message was made; a retry says the same, as it is the same message.
    """
    if message.body is None:
        return b""
    resource, *path = message.path
    data = msgspec.json.encode(fitted(message.body, media_types.version_sent(tenant.scheme)))
    if not media_types.is_iso(resource, tenant.scheme):
        return data
    frame = Frame(
        source=tenant.fsp_id,
        destination=message.destination,
        resource=resource,
        path=path,
        identity=data.decode(),
        at_ms=at_ms,
    )
    return msgspec.json.encode(write(message.body, frame))


def headers_of(message: Outgoing, tenant: TenantConfig, now_ms: int) -> dict[str, str]:
    """Return FSPIOP's headers, without a signature."""
    media_type = media_types.written(message.path[0], tenant.scheme)
    headers = {
        "Content-Type": media_type,
        "Date": fspiop_headers.format_date(now_ms),
        "FSPIOP-Source": tenant.fsp_id,
    }
    if message.method in _REQUESTS:
        headers["Accept"] = media_type
    if message.destination:
        headers["FSPIOP-Destination"] = message.destination
    return headers
