"""Party identifiers, and what became of their registration. Pure."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from payhub_platform.contracts.channel import PartyIdType
from payhub_platform.errors import InvalidInputError
from payhub_tenants.fields import Body, View
from payhub_tenants.identifiers.errors import DuplicateIdentifierError

IDENTIFIERS_MAX: Final = 100

# They become segments of paths at the core bank and the switch, so nothing that paths give a meaning.
Segment = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f/?#\\%]{1,128}\Z")]
AccountId = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,100}\Z")]

IdentifierState = Literal["pending", "registered", "failed"]
IdentifierKey = tuple[str, str, str, str]  # tenant, type, value, sub id


class IdentifierBody(Body, frozen=True, kw_only=True):
    """One identifier of a member's account."""

    type: PartyIdType
    value: Segment
    sub_id: Segment | None = None
    account_id: AccountId


class RegisterIdentifiers(Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/tenants/{id}/party-identifiers``."""

    identifiers: Annotated[list[IdentifierBody], Meta(min_length=1, max_length=IDENTIFIERS_MAX)]


class MoveIdentifier(Body, frozen=True, kw_only=True):
    """Body of ``PUT .../party-identifiers/{type}/{value}/account``."""

    account_id: AccountId


class PartyIdentifier(Struct, frozen=True, kw_only=True):
    """An identifier as it is kept, with the outcome of the newest attempt to register it."""

    tenant_id: str
    type: PartyIdType
    value: str
    sub_id: str  # empty where there is none
    account_id: str
    state: IdentifierState
    reason: str  # "code: detail" where it failed, else empty
    attempted_at_ms: int

    @property
    def key(self) -> IdentifierKey:
        """What makes it one of a kind."""
        return self.tenant_id, self.type, self.value, self.sub_id


class IdentifierView(View, frozen=True, kw_only=True):
    """An identifier as the aggregator sees it."""

    type: PartyIdType
    value: str
    account_id: str
    state: IdentifierState
    sub_id: str | None = None
    reason: str | None = None


def identifier_view(identifier: PartyIdentifier) -> IdentifierView:
    """Return what the aggregator sees of an identifier."""
    return IdentifierView(
        type=identifier.type,
        value=identifier.value,
        account_id=identifier.account_id,
        state=identifier.state,
        sub_id=identifier.sub_id or None,
        reason=identifier.reason or None,
    )


def pending_identifiers(tenant_id: str, request: RegisterIdentifiers, at_ms: int) -> list[PartyIdentifier]:
    """Return the identifiers of a request as they are before their registration.

    Raises:
        DuplicateIdentifierError: the same identifier is there twice.
        InvalidInputError: an identifier that would be read as a folder of a path.
    """
    identifiers: dict[tuple[str, str, str, str], PartyIdentifier] = {}
    for index, body in enumerate(request.identifiers):
        for name, text in (("value", body.value), ("subId", body.sub_id)):
            if text in (".", ".."):
                raise InvalidInputError(
                    "invalid-field", "This is no identifier.", f"/identifiers/{index}/{name}"
                )
        identifier = PartyIdentifier(
            tenant_id=tenant_id,
            type=body.type,
            value=body.value,
            sub_id=body.sub_id or "",
            account_id=body.account_id,
            state="pending",
            reason="",
            attempted_at_ms=at_ms,
        )
        if identifier.key in identifiers:
            raise DuplicateIdentifierError(index)
        identifiers[identifier.key] = identifier
    return list(identifiers.values())
