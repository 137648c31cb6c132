"""Why a client has to wait."""

from typing import ClassVar

from payhub_platform.errors import PayhubError


class LimitExceededError(PayhubError):
    """A client has asked for more than it may; others are not affected."""

    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many requests"
