"""An operator: who acts, and what it may do. Pure."""

import hashlib
import secrets
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from payhub_tenants.fields import Body, DisplayName, TenantId, View

OPERATORS_MAX: Final = 500
FOUNDERS_MAX: Final = 2  # approvers who are let in by nobody; without them nobody could be
TOKEN_PREFIX: Final = "pho"  # noqa: S105 - so that a token that leaks is recognised
TOKEN_BYTES: Final = 32

Role = Literal["viewer", "operator", "approver"]
OperatorRole = Literal["viewer", "operator", "approver", "administrator"]
OperatorState = Literal["waiting", "active", "removed"]
OperatorId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{1,30}\Z")]
RESERVED: Final = ("aggregator", "payhub")


class CreateOperator(Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/operators``; ``institution`` binds the operator to one tenant."""

    operator_id: OperatorId
    name: DisplayName
    roles: Annotated[list[Role], Meta(min_length=1, max_length=3)]
    institution: TenantId | None = None


class Operator(Struct, frozen=True, kw_only=True):
    """An operator as it is kept; the token itself is not."""

    operator_id: str
    name: str
    roles: list[OperatorRole]
    institution: str | None
    token_digest: str
    created_at_ms: int
    state: OperatorState = "active"
    requested_by: str = "aggregator"
    approved_by: str = ""  # empty: of the first ones, who needed nobody

    def may(self, role: OperatorRole) -> bool:
        """Tell whether it has a role; everybody may look."""
        return role == "viewer" or role in self.roles


class OperatorView(View, frozen=True, kw_only=True):
    """An operator as it is shown; ``token`` only when it was made."""

    operator_id: str
    name: str
    roles: list[OperatorRole]
    institution: str | None = None
    state: OperatorState = "active"
    token: str | None = None


# Whom the installation's own token speaks for. It makes operators, and approves nothing.
AGGREGATOR: Final = Operator(
    operator_id="aggregator",
    name="The installation's token",
    roles=["administrator", "operator"],
    institution=None,
    token_digest="",
    created_at_ms=0,
)


def new_token() -> str:
    """Make a token of 256 random bits."""
    return f"{TOKEN_PREFIX}_{secrets.token_urlsafe(TOKEN_BYTES)}"


def token_digest(token: str) -> str:
    """Return what is kept of a token; its randomness needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def operator_view(operator: Operator, token: str | None = None) -> OperatorView:
    """Return an operator as it is shown."""
    return OperatorView(
        operator_id=operator.operator_id,
        name=operator.name,
        roles=operator.roles,
        institution=operator.institution,
        state=operator.state,
        token=token,
    )
