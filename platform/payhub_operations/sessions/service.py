"""Decides who is let in."""

import hmac
from typing import Final

from payhub_operations.keys import derived_key
from payhub_operations.sessions import model
from payhub_operations.sessions.errors import OperatorTokenError
from payhub_platform.clock import Clock
from payhub_platform.errors import InvalidInputError

TOKEN_CHARACTERS_MIN: Final = 16


class SessionService:
    """Checks the operator token, the one-time code and sessions."""

    def __init__(self, operator_token: str, login_code: str, secrets_key: str, clock: Clock) -> None:
        if len(operator_token) < TOKEN_CHARACTERS_MIN:
            raise InvalidInputError(
                "invalid-settings",
                f"The operator token needs at least {TOKEN_CHARACTERS_MIN} characters.",
                "PAYHUB_OPERATOR_TOKEN",
            )
        self._operator_token = operator_token
        self._login_code = login_code
        # With the token in the key, a new token ends all sessions.
        self._key = derived_key(secrets_key, "session", operator_token)
        self._clock = clock

    def login(self, token: str) -> str | None:
        """Return a session's cookie for the operator token; None for anything else."""
        return self._issue() if _equal(token.strip(), self._operator_token) else None

    def redeem(self, code: str) -> str | None:
        """Return a session's cookie for the one-time code, which then holds no more."""
        if not self._login_code or not _equal(code, self._login_code):
            return None
        self._login_code = ""
        return self._issue()

    def is_valid(self, cookie: str) -> bool:
        """Tell whether a session's cookie holds."""
        return model.is_valid(cookie, self._key, self._clock())

    def require_bearer(self, authorization: str) -> None:
        """Refuse a program without the operator token.

        Raises:
            OperatorTokenError: the Authorization header is missing or wrong.
        """
        if not _equal(authorization, f"Bearer {self._operator_token}"):
            raise OperatorTokenError

    def _issue(self) -> str:
        return model.issue(self._key, self._clock())


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
