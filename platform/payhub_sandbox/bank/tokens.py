"""OAuth2 in front of a bank: an issuer for client credentials, as Keycloak stands before Fineract."""

import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from typing import Any, Final
from urllib.parse import parse_qs

from payhub_platform.clock import Clock
from payhub_sandbox.bank.refusal import oauth_error

LIFETIME_S: Final = 300
TOKENS_MAX: Final = 10_000

_BASIC: Final = "Basic "
_BEARER: Final = "Bearer "


class Tokens:
    """Bearer tokens of one bank's API user; they end after five minutes, so that renewal is tried too."""

    def __init__(self, client_id: str, client_secret: str, clock: Clock) -> None:
        self._client = (client_id, client_secret)
        self._clock = clock
        self._expiry_ms: OrderedDict[str, int] = OrderedDict()

    def issue(self, authorization: str, body: bytes) -> dict[str, Any]:
        """POST /oauth2/token: RFC 6749 section 4.4, the client in the header or in the form.

        Raises:
            BankRefusalError: 400 ``unsupported_grant_type``, 401 ``invalid_client``.
        """
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        if form.get("grant_type") != "client_credentials":
            raise oauth_error(400, "unsupported_grant_type")
        given = _basic(authorization) or (form.get("client_id", ""), form.get("client_secret", ""))
        if not all(_same(*pair) for pair in zip(given, self._client, strict=True)):
            raise oauth_error(401, "invalid_client")
        token = secrets.token_urlsafe(32)
        self._expiry_ms[token] = self._clock() + LIFETIME_S * 1000
        if len(self._expiry_ms) > TOKENS_MAX:
            self._expiry_ms.popitem(last=False)
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME_S}

    def accepts(self, authorization: str) -> bool:
        """Tell whether a header carries a token that holds."""
        token = authorization.removeprefix(_BEARER) if authorization.startswith(_BEARER) else ""
        return self._expiry_ms.get(token, 0) > self._clock()


def _basic(authorization: str) -> tuple[str, str] | None:
    if not authorization.startswith(_BASIC):
        return None
    try:
        user, _, password = base64.b64decode(authorization.removeprefix(_BASIC)).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(), known.encode())
