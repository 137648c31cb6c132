"""Decides who is let in."""

import hmac
from typing import Final

from payhub_operations.keys import derived_key
from payhub_operations.sessions import model
from payhub_operations.sessions.attempts import Attempts
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
        self._attempts = Attempts(clock)

    def login(self, token: str, address: str = "") -> str | None:
        """Return a session's cookie for the operator token; None for anything else.

        Raises:
            TooManyAttemptsError: the address has guessed too often.
        """
        return self._issue() if self._holds(token.strip(), self._operator_token, address) else None

    def redeem(self, code: str, address: str = "") -> str | None:
        """Return a session's cookie for the one-time code, which then holds no more.

        Raises:
            TooManyAttemptsError: the address has guessed too often.
        """
        if not self._holds(code, self._login_code, address):
            return None
        self._login_code = ""
        return self._issue()

    def is_valid(self, cookie: str) -> bool:
        """Tell whether a session's cookie holds."""
        return model.is_valid(cookie, self._key, self._clock())

    def require_bearer(self, authorization: str, address: str = "") -> None:
        """Refuse a program without the operator token.

        Raises:
            OperatorTokenError: the Authorization header is missing or wrong.
            TooManyAttemptsError: the address has guessed too often.
        """
        if not self._holds(authorization, f"Bearer {self._operator_token}", address):
            raise OperatorTokenError

    def _holds(self, credential: str, expected: str, address: str) -> bool:
        self._attempts.check(address)
        if expected and hmac.compare_digest(credential.encode(), expected.encode()):
            return True
        if credential:  # who sends none does not guess
            self._attempts.failed(address)
        return False

    def _issue(self) -> str:
        return model.issue(self._key, self._clock())
