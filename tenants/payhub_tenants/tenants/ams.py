"""How a tenant's core bank is reached: what is asked for, and what is kept. Pure."""

from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import convert, to_builtins

from payhub_platform.contracts.tenant import AmsConnection, AmsKind, AmsOAuth, AmsTls
from payhub_platform.errors import InvalidInputError
from payhub_tenants.fields import Body, HeaderText, Password, Url, Username, View, ZoneName, base_url
from payhub_tenants.tenants.login import (
    OAuthBody,
    OAuthView,
    TlsBody,
    TlsView,
    checked_oauth,
    checked_tls,
    oauth_view,
    tls_view,
)

CHECK_DOCUMENT: Final = "ams-check"
_COLUMNS: Final = ("base_url", "platform_tenant", "username", "password_sealed")  # "ams_" before them


class AmsBody(Body, frozen=True, kw_only=True, omit_defaults=True):
    """How the tenant's core banking system is reached; what is left out is set back (docs/ams.md).

    Fineract has a platform tenant. Either user and password or OAuth2 lets one in.
    """

    base_url: Url
    platform_tenant: HeaderText | None = None
    username: Username | None = None
    password: Password | None = None
    kind: AmsKind = "fineract"
    oauth: OAuthBody | None = None
    tls: TlsBody | None = None
    time_zone: ZoneName = "UTC"  # IANA name; the dates of bookings are of this zone


class AmsView(View, frozen=True, kw_only=True):
    """How the core banking system is reached; no secret is told."""

    base_url: str
    kind: AmsKind = "fineract"
    platform_tenant: str = ""
    username: str = ""
    oauth: OAuthView | None = None
    tls: TlsView | None = None
    time_zone: str = "UTC"


class AmsCheck(View, frozen=True, kw_only=True, omit_defaults=False):
    """What the core bank answered, as of ``at_ms``."""

    at_ms: int
    answered: bool
    reason: str = ""


def checked_ams(body: AmsBody, where: str) -> AmsBody:
    """Check what the types of the fields cannot say.

    Args:
        body: what is asked for.
        where: JSON pointer of it; empty where it is the whole body.

    Raises:
        InvalidInputError: ``invalid-field`` or ``invalid-url``.
    """
    base_url(body.base_url, f"{where}/baseUrl")
    if (body.username is None) != (body.password is None):
        raise InvalidInputError("invalid-field", "User and password go together.", f"{where}/username")
    if (body.username is None) == (body.oauth is None):
        text = "Either user and password or OAuth2 lets payhub in."
        raise InvalidInputError("invalid-field", text, f"{where}/oauth")
    if body.kind == "fineract" and body.platform_tenant is None:
        text = "Fineract needs its header Fineract-Platform-TenantId."
        raise InvalidInputError("invalid-field", text, f"{where}/platformTenant")
    if body.tls is not None:
        checked_tls(body.tls, where=where)
    if body.oauth is not None:
        checked_oauth(body.oauth, where=where)
    try:
        ZoneInfo(body.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        text = "This is no time zone of IANA, such as Africa/Nairobi."
        raise InvalidInputError("invalid-field", text, f"{where}/timeZone") from error
    return body


def ams_changes(
    body: AmsBody, password_sealed: str, tls_key_sealed: str, client_secret_sealed: str
) -> dict[str, Any]:
    """Return what changes in a tenant that is given another connection; secrets are sealed already.

    Raises:
        InvalidInputError: ``invalid-field`` or ``invalid-url``.
    """
    connection = AmsConnection(
        base_url=base_url(body.base_url, "/baseUrl"),
        platform_tenant=body.platform_tenant or "",
        username=body.username or "",
        password_sealed=password_sealed,
        kind=body.kind,
        oauth=None if body.oauth is None else AmsOAuth(**checked_oauth(body.oauth, client_secret_sealed)),
        tls=None if body.tls is None else AmsTls(**checked_tls(body.tls, tls_key_sealed)),
        time_zone=body.time_zone,
    )
    kept: dict[str, Any] = to_builtins(connection)
    return {f"ams_{name}": kept.pop(name, "") for name in _COLUMNS} | {"ams_settings": kept}


def ams_connection_of(
    address: str, platform_tenant: str, username: str, password_sealed: str, settings: dict[str, Any]
) -> AmsConnection:
    """Return the connection as engines need it, from what is kept of it."""
    columns = dict(zip(_COLUMNS, (address, platform_tenant, username, password_sealed), strict=True))
    return convert(columns | settings, AmsConnection)


def ams_view(connection: AmsConnection) -> AmsView:
    """Return what the aggregator sees of the connection: no secret."""
    return AmsView(
        base_url=connection.base_url,
        kind=connection.kind,
        platform_tenant=connection.platform_tenant,
        username=connection.username,
        oauth=oauth_view(connection.oauth),
        tls=tls_view(connection.tls),
        time_zone=connection.time_zone,
    )
