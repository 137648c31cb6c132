"""Endpoints: what is told where, and the secrets that sign it (Standard Webhooks 1.0.0). Pure."""

import base64
from typing import Annotated, Any, Final, get_args
from urllib.parse import urlsplit

from msgspec import Meta, Struct
from msgspec.structs import replace

from payhub_platform import ids
from payhub_platform.contracts.tenant import (
    EndpointPurpose,
    WebhookEndpoint,
    WebhookEventType,
    WebhookSecret,
)
from payhub_platform.errors import InvalidInputError
from payhub_platform.security.addresses import PrivateAddressError, check_host
from payhub_tenants.fields import Body, Url, View, base_url

ENDPOINTS_DOCUMENT: Final = "endpoints"
SECRET_PURPOSE: Final = "webhook"  # noqa: S105 - what it is sealed for
ENDPOINTS_MAX: Final = 10
SECRET_BYTES: Final = 32  # the standard asks for 24 to 64
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the standard's mark of a secret
SECRETS_MAX: Final = 4  # that sign at the same time; each is a signature more in the header
OVERLAP_MS: Final = 24 * 3_600_000
OVERLAP_MAX_MS: Final = 7 * OVERLAP_MS
_EVENT_TYPES: Final[frozenset[str]] = frozenset(get_args(WebhookEventType))


class Endpoint(Body, frozen=True, kw_only=True):
    """One address, and what is told there."""

    url: Url
    purpose: EndpointPurpose
    events: Annotated[list[WebhookEventType], Meta(min_length=1, max_length=len(_EVENT_TYPES))]


class Endpoints(Body, frozen=True, kw_only=True):
    """Body of ``PUT /v1/tenants/{id}/endpoints``: all of them; what is not there is called no more."""

    endpoints: Annotated[list[Endpoint], Meta(max_length=ENDPOINTS_MAX)]


class RotateSecret(Body, frozen=True, kw_only=True):
    """Body of ``POST .../endpoints/{endpoint_id}/rotate``: for how long the secret before signs as well."""

    overlap_ms: Annotated[int, Meta(ge=0, le=OVERLAP_MAX_MS)] = OVERLAP_MS


class KeptSecret(Struct, frozen=True, kw_only=True):
    """A secret as it is kept."""

    secret_sealed: str
    valid_until_ms: int | None = None  # None: until it is replaced


class KeptEndpoint(Struct, frozen=True, kw_only=True):
    """An endpoint as it is kept. Those of release 0.1 have no secret, until they are set again."""

    url: str
    purpose: EndpointPurpose
    events: list[str]
    endpoint_id: str = ""
    secrets: list[KeptSecret] = []  # newest first


class KeptEndpoints(Struct, frozen=True, kw_only=True):
    """A tenant's document."""

    endpoints: list[KeptEndpoint]


class EndpointView(View, frozen=True, kw_only=True):
    """An endpoint; its secret is told once, in the answer that made it."""

    endpoint_id: str
    url: str
    purpose: EndpointPurpose
    events: list[str]
    secret: str = ""
    earlier_secret_until_ms: int = 0  # until when the secret before signs as well


class EndpointsView(View, frozen=True, kw_only=True):
    """All endpoints of an institution."""

    endpoints: list[EndpointView]


def endpoint_id(tenant_id: str, endpoint: Endpoint) -> str:
    """Return the id of an endpoint: the same again is the same endpoint."""
    return ids.derive("endpoint", tenant_id, endpoint.purpose, endpoint.url)


def secret_text(random: bytes) -> str:
    """Return a secret as receivers are given it."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def checked_endpoints(body: Endpoints, *, private_allowed: bool) -> list[str]:
    """Return the hosts of endpoints that are there once each, and as far as they say themselves public.

    Raises:
        InvalidInputError: ``duplicate-endpoint``, ``invalid-url`` or ``private-address``.
    """
    hosts = []
    for index, endpoint in enumerate(body.endpoints):
        where = f"/endpoints/{index}/url"
        parts = urlsplit(base_url(endpoint.url, where))
        hosts.append((parts.hostname or "").rstrip(".").lower())
        if not private_allowed:
            if parts.scheme != "https":
                raise PrivateAddressError(where)
            check_host(hosts[-1], where)
        if any((endpoint.url, endpoint.purpose) == (e.url, e.purpose) for e in body.endpoints[:index]):
            raise InvalidInputError("duplicate-endpoint", "Each is named once.", f"/endpoints/{index}")
    return hosts


def rotated(endpoint: KeptEndpoint, secret_sealed: str, now_ms: int, overlap_ms: int) -> KeptEndpoint:
    """Return an endpoint with a new secret; those before sign as well until the overlap ends."""
    ends = now_ms + overlap_ms
    earlier = [
        replace(secret, valid_until_ms=min(secret.valid_until_ms or ends, ends))
        for secret in endpoint.secrets
    ]
    believed = [secret for secret in earlier if (secret.valid_until_ms or 0) > now_ms]
    return replace(endpoint, secrets=[KeptSecret(secret_sealed=secret_sealed), *believed[: SECRETS_MAX - 1]])


def endpoint_view(endpoint: KeptEndpoint, now_ms: int, secret: str = "") -> EndpointView:
    """Return what the aggregator sees of an endpoint, with its secret only where it was made just now."""
    untils = [each.valid_until_ms for each in endpoint.secrets if each.valid_until_ms is not None]
    return EndpointView(
        endpoint_id=endpoint.endpoint_id,
        url=endpoint.url,
        purpose=endpoint.purpose,
        events=endpoint.events,
        secret=secret,
        earlier_secret_until_ms=max((until for until in untils if until > now_ms), default=0),
    )


def published(endpoint: KeptEndpoint, secrets_sealed: list[str]) -> WebhookEndpoint:
    """Return an endpoint as operations is told; ``secrets_sealed`` are its secrets sealed for that."""
    events: list[Any] = [event for event in endpoint.events if event in _EVENT_TYPES]
    return WebhookEndpoint(
        endpoint_id=endpoint.endpoint_id,
        url=endpoint.url,
        purpose=endpoint.purpose,
        events=events,
        secrets=[
            WebhookSecret(secret_sealed=sealed, valid_until_ms=secret.valid_until_ms)
            for sealed, secret in zip(secrets_sealed, endpoint.secrets, strict=True)
        ],
    )
