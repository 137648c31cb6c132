"""One exchange with a replica of an engine, and what its answer means to the gateway."""

import logging
from typing import Final, TypeVar

import msgspec

from payhub_platform.contracts.engine import HEADER_LEADER, STALE_EPOCH
from payhub_platform.errors import (
    PROBLEM_MEDIA_TYPE,
    ForbiddenError,
    PayhubError,
    Problem,
    UnavailableError,
)
from payhub_platform.http_client import HttpClient

_logger = logging.getLogger(__name__)

ANSWER_BYTES_MAX: Final = 256 * 1024  # a bulk tells each of its payments
RETRY_AFTER_MAX_S: Final = 60

_LEADER: Final = HEADER_LEADER.lower()
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_UNAVAILABLE: Final = 503
# What an engine says about the payment itself is for the channel to read. Other refusals (credential, epoch,
# path) are between the gateway and the engine, and mean to the channel that the engine cannot serve it now.
_FOR_CHANNEL: Final = frozenset({400, 422, 429, 503})
_SUSPENDED: Final = "tenant-suspended"
_MISPLACED: Final = frozenset({STALE_EPOCH, "not-placed-here", "placement-unknown"})
_UNKNOWN_PAYMENT: Final = "payment-not-found"

AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)


class EngineRefusalError(PayhubError):
    """An engine's own problem, passed on unchanged but for the address it names."""

    def __init__(self, problem: Problem, retry_after_s: int | None) -> None:
        super().__init__(problem.code, problem.detail, retry_after_s=retry_after_s)
        self._problem = problem

    def problem(self, instance: str = "") -> Problem:
        """Return the engine's problem with the channel's own address as its instance."""
        return msgspec.structs.replace(self._problem, instance=instance)


class EngineUnavailableError(UnavailableError):
    """The tenant's engine cannot be reached or makes no sense; the same request may be sent again."""

    def __init__(self, retry_after_s: int = 1) -> None:
        super().__init__(
            "engine-unavailable",
            "The payment engine does not answer; send the same again.",
            retry_after_s=retry_after_s,
        )


class Asked(msgspec.Struct):
    """A request to a replica, whichever it will be."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


class Answer(msgspec.Struct, frozen=True):
    """What a replica answered; ``leader``: the id of the one that spoke for the engine, else empty."""

    status: int
    media_type: str
    retry_after: str
    leader: str
    body: bytes

    @property
    def is_leaderless(self) -> bool:
        """Whether a replica answered that knows nobody who leads."""
        return self.status == _UNAVAILABLE and not self.leader

    @property
    def is_misplaced(self) -> bool:
        """Whether the engine knows another placement of the tenant; it did nothing."""
        problem = self.problem() if self.status in (_CONFLICT, _UNAVAILABLE) else None
        return problem is not None and problem.code in _MISPLACED

    @property
    def is_behind(self) -> bool:
        """Whether the engine knows an older placement of the tenant; the newer one is on its way to it."""
        return self.status == _UNAVAILABLE

    @property
    def is_unknown_payment(self) -> bool:
        """Whether the engine has not begun the payment; an address that is not known says nothing of that."""
        problem = self.problem() if self.status == _NOT_FOUND else None
        return problem is not None and problem.code == _UNKNOWN_PAYMENT

    def decode(self, status: int, kind: type[AnswerT]) -> AnswerT:
        """Return the body of an answer with this status.

        Raises:
            EngineRefusalError: what the engine says against the payment.
            ForbiddenError: code ``tenant-suspended``.
            EngineUnavailableError: code ``engine-unavailable``; it makes no sense, or not to a channel.
        """
        if self.status == status:
            try:
                return msgspec.json.decode(self.body, type=kind)
            except msgspec.MsgspecError as error:
                # One line says it all; a traceback would only show this place.
                _logger.error("an engine's answer is not a %s: %s", kind.__name__, error)  # noqa: TRY400
                raise EngineUnavailableError from error
        problem = self.problem()
        if problem is not None and problem.code == _SUSPENDED:
            # The engine heard of it a moment before this process did.
            raise ForbiddenError(_SUSPENDED, "The tenant is suspended.", "header:Authorization")
        if problem is None or self.status not in _FOR_CHANNEL or problem.status != self.status:
            code = "-" if problem is None else problem.code
            _logger.error("an engine answered %d (%s)", self.status, code)
            raise EngineUnavailableError
        raise EngineRefusalError(problem, _retry_after_s(self.retry_after))

    def problem(self) -> Problem | None:
        """Return the problem that the engine tells of, if it does."""
        if self.media_type != PROBLEM_MEDIA_TYPE:
            return None
        try:
            return msgspec.json.decode(self.body, type=Problem)
        except msgspec.MsgspecError:
            # Counted as no problem: the caller logs it and answers engine-unavailable.
            return None


async def exchange(http: HttpClient, asked: Asked, url: str) -> Answer:
    """Ask the replica at a URL.

    Raises:
        UnansweredError: there was no answer that is whole, or too long a one.
    """
    answer = await http.request(
        asked.method, url + asked.path, asked.headers, asked.body, answer_bytes_max=ANSWER_BYTES_MAX
    )
    media_type, retry_after, leader = (
        answer.headers.get(name, "") for name in ("content-type", "retry-after", _LEADER)
    )
    media_type = media_type.partition(";")[0].strip().lower()
    return Answer(answer.status, media_type, retry_after, leader, answer.body)


def _retry_after_s(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:3]), RETRY_AFTER_MAX_S)
