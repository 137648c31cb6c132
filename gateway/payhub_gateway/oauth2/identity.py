"""Who a member is: asked of the institution that knows them.

The gateway keeps no passwords. Here the institution's own channel (its app, its branch) vouches for the
member with a signed statement; another identity provider is another ``IdentityProvider``.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final, Protocol

import msgspec

from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.clients import ClientDirectory
from payhub_gateway.oauth2.errors import ConsentPageError
from payhub_gateway.oauth2.signatures import base64url, unbase64url, verify_with_any
from payhub_platform.clock import Clock
from payhub_platform.contracts.tenant import TenantConfig

LOGIN_TYPE: Final = "payhub-login+jwt"
LOGIN_AGE_MAX_S: Final = 120
FIELD_STATEMENT: Final = "login_statement"


class LoginRefusedError(ConsentPageError):
    """The member was not recognized; the page asks again."""

    def __init__(self) -> None:
        super().__init__("login-refused", "Your institution did not confirm who you are. Try again.")


class Member(msgspec.Struct, frozen=True):
    """A member of an institution, by the name that its core bank knows: never shown to others."""

    subject: str


class Question(msgspec.Struct, frozen=True):
    """What the page asks a member for."""

    field: str
    label: str


class IdentityProvider(Protocol):
    """Recognizes the members of an institution."""

    def questions(self, tenant: TenantConfig, challenge: str) -> list[Question]:
        """Return what the page asks for."""

    async def identify(self, tenant: TenantConfig, challenge: str, form: Mapping[str, str]) -> Member:
        """Return who answered.

        Args:
            tenant: the institution.
            challenge: names the one authorization request that the answer is for.
            form: what was filled in.

        Raises:
            LoginRefusedError: nobody that the institution knows.
        """


class LoginClaims(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's statement that a member is at the page that shows the challenge."""

    iss: str  # the channel's client id
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]  # the member
    aud: str
    iat: model.NumericDate
    exp: model.NumericDate
    challenge: str


_CLAIMS: Final = msgspec.json.Decoder(LoginClaims)


def challenge_of(request_uri: str) -> str:
    """Return the challenge of an authorization request; it gives the request itself not away."""
    return base64url(hashlib.sha256(f"login:{request_uri}".encode()).digest()[:18])


class ChannelIdentity:
    """Believes the tenant's own channels that have the scope ``members:identify``."""

    def __init__(self, issuer: str, clients: ClientDirectory, clock: Clock) -> None:
        self._issuer = issuer
        self._clients = clients
        self._clock = clock

    def questions(self, tenant: TenantConfig, challenge: str) -> list[Question]:
        """See ``IdentityProvider``."""
        return [Question(FIELD_STATEMENT, f"Confirmation of {tenant.name} for the code {challenge}")]

    async def identify(self, tenant: TenantConfig, challenge: str, form: Mapping[str, str]) -> Member:
        """See ``IdentityProvider``. The challenge is used once, so the statement is."""
        statement = form.get(FIELD_STATEMENT, "").strip()
        try:
            header, payload = model.split_jwt(statement)
            claims = _CLAIMS.decode(payload)
            channel = self._clients.find(claims.iss)
            if channel is None or channel.tenant.tenant_id != tenant.tenant_id:
                raise LoginRefusedError
            if header.typ != LOGIN_TYPE or model.SCOPE_IDENTIFY not in channel.scopes:
                raise LoginRefusedError
            signed, _, signature = statement.rpartition(".")
            verify_with_any(channel.keys, header.alg, header.kid, unbase64url(signature), signed.encode())
        except (ValueError, RecursionError) as error:
            raise LoginRefusedError from error
        now_s = self._clock() / 1000
        young = now_s - LOGIN_AGE_MAX_S - model.CLOCK_LEEWAY_S < claims.iat <= now_s + model.CLOCK_LEEWAY_S
        if not young or not claims.exp > now_s or claims.aud != self._issuer or claims.challenge != challenge:
            raise LoginRefusedError
        return Member(claims.sub)
