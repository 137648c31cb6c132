"""The gateway's side of the engines' API."""

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

import msgspec

from payhub_gateway.circuit_breaker import CircuitBreaker
from payhub_gateway.engine_replicas import EngineReplicas, addresses_of
from payhub_platform.contracts.bulk_payments import PATH_BULK_PAYMENTS, PATH_BULK_RECALL
from payhub_platform.contracts.channel import TransferAccepted
from payhub_platform.contracts.engine import (
    HEADER_ACT,
    HEADER_EPOCH,
    HEADER_LEADER,
    HEADER_TENANT,
    PATH_PAYMENTS,
    PATH_RECALL,
    STALE_EPOCH,
)
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import (
    PROBLEM_MEDIA_TYPE,
    ForbiddenError,
    NotFoundError,
    PayhubError,
    Problem,
    UnavailableError,
)
from payhub_platform.http_client import AnswerTooLongError, HttpClient, UnansweredError
from payhub_platform.security.internal import internal_headers

_logger = logging.getLogger(__name__)

CALL_TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 1.0
RETRY_WAIT_S: Final = 0.05  # twice as long after each round of the replicas
RETRY_WAIT_MAX_S: Final = 0.4
PLACEMENT_WAIT_S: Final = 2.0  # for news of a placement that an engine knows already
CONNECTIONS_MAX: Final = 256
ANSWER_BYTES_MAX: Final = 256 * 1024  # a bulk tells each of its payments
RETRY_AFTER_MAX_S: Final = 60

_LEADER: Final = HEADER_LEADER.lower()
_OK: Final = 200
_ACCEPTED: Final = 202
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_UNAVAILABLE: Final = 503
# What an engine says about the payment itself is for the channel to read. Other refusals (credential, epoch,
# path) are between the gateway and the engine, and mean to the channel that the engine cannot serve it now.
_FOR_CHANNEL: Final = frozenset({400, 422, 429, 503})
_SUSPENDED: Final = "tenant-suspended"
_MISPLACED: Final = frozenset({STALE_EPOCH, "not-placed-here", "placement-unknown"})
_UNKNOWN_PAYMENT: Final = "payment-not-found"
# What an engine says of a payment that it does not know; another one may know it.
_ELSEWHERE: Final = frozenset({"nothing-to-confirm", "not-refundable"})

# What moves money, and where a former engine tells whether it has begun it.
_RECALLED: Final = {PATH_PAYMENTS: PATH_RECALL, PATH_BULK_PAYMENTS: PATH_BULK_RECALL}

AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)


class Begun(Protocol):
    """A body that begins something at an engine."""

    @property
    def payment_id(self) -> str:
        """The same again is the same act."""


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


class EngineClient(Protocol):
    """How the gateway talks to the engine that serves a tenant."""

    async def start(
        self, tenant: TenantConfig, payment: Begun, traceparent: str, path: str = PATH_PAYMENTS
    ) -> TransferAccepted:
        """Have the tenant's home engine commit a payment, or what else begins under a path of its API.

        Raises:
            EngineRefusalError: what the engine says against the payment.
            ForbiddenError: code ``tenant-suspended``.
            EngineUnavailableError: code ``engine-unavailable``; whether it was committed is not known.
        """

    async def find(self, tenant: TenantConfig, path: str, kind: type[AnswerT], traceparent: str) -> AnswerT:
        """Ask how something stands that began under a path.

        Raises:
            NotFoundError: code ``unknown-payment``; no engine knows it for this tenant.
            EngineUnavailableError: code ``engine-unavailable``.
        """

    async def find_all(
        self, tenant: TenantConfig, path: str, kind: type[AnswerT], traceparent: str
    ) -> tuple[list[AnswerT], bool]:
        """Ask every engine of the placement; tell what they answered, and whether all of them did.

        Raises:
            EngineUnavailableError: code ``engine-unavailable``; none did.
        """

    async def tell(
        self, tenant: TenantConfig, path: str, body: msgspec.Struct, traceparent: str, act: str = ""
    ) -> TransferAccepted:
        """Have the engine that knows a payment commit something about it.

        Args:
            tenant: whose payment it is.
            path: below the payment.
            body: what is told.
            traceparent: of the caller.
            act: the same act again, within a minute, is done once.

        Raises:
            EngineRefusalError: what the engine says against it.
            EngineUnavailableError: code ``engine-unavailable``; whether it was committed is not known.
        """


class HttpEngineClient:
    """Talks HTTP to the leader of a tenant's engine, or to another replica, which asks the leader.

    Every call has an end: an answer, or ``EngineUnavailableError`` after ``call_timeout_s`` at most. A start
    is asked of the one engine that begins it under the tenant's epoch, however often. Where the tenant has
    moved, every engine that may have begun it before is asked first: it answers what it has begun, and
    begins nothing of an older epoch from then on. One that does not answer makes the payment wait.

    Args:
        engines: engine id -> base URL, or ``1=URL,2=URL,3=URL`` for an engine of several replicas.
        internal_token: the credential between payhub's own processes.
        call_timeout_s: how long a call may take, with all its attempts.
        present: a tenant's configuration as known now; asked when an engine knows a newer placement.
    """

    def __init__(
        self,
        engines: Mapping[str, str],
        internal_token: str,
        call_timeout_s: float = CALL_TIMEOUT_S,
        present: Callable[[str], TenantConfig | None] = lambda _tenant_id: None,
    ) -> None:
        self._engines = {engine: EngineReplicas(addresses_of(text)) for engine, text in engines.items()}
        self._breakers = {engine: CircuitBreaker() for engine in engines}
        self._credential = internal_headers(internal_token).items()
        self._call_timeout_s = call_timeout_s
        self._present = present
        self._http: HttpClient | None = None

    async def open(self) -> None:
        """Prepare for calls; needs the running event loop."""
        self._http = HttpClient(CONNECTIONS_MAX, CONNECT_TIMEOUT_S)

    async def close(self) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.close()

    async def start(
        self, tenant: TenantConfig, payment: Begun, traceparent: str, path: str = PATH_PAYMENTS
    ) -> TransferAccepted:
        """See ``EngineClient``. Asked again where that may help; the payment's id makes it harmless."""
        body = msgspec.json.encode(payment)
        until_s = asyncio.get_running_loop().time() + PLACEMENT_WAIT_S
        while True:
            answer = await self._begin(tenant, path, payment.payment_id, traceparent, body)
            if not answer.is_misplaced:
                return answer.decode(_ACCEPTED, TransferAccepted)
            tenant = await self._newer(tenant, until_s, can_be_same=answer.is_behind)

    async def _begin(
        self, tenant: TenantConfig, path: str, payment_id: str, traceparent: str, body: bytes
    ) -> "_Answer":
        """Return the answer of an engine that has begun the payment, else of the one that begins it now."""
        engine = tenant.engine_of(payment_id)
        if tenant.former and path in _RECALLED:
            recall = self._asked(tenant, "POST", _RECALLED[path], traceparent, body)
            for former in tenant.formers(but=engine):
                answer = await self._call(former, recall)
                if not answer.is_unknown_payment:
                    return answer
        return await self._call(engine, self._asked(tenant, "POST", path, traceparent, body))

    async def find(self, tenant: TenantConfig, path: str, kind: type[AnswerT], traceparent: str) -> AnswerT:
        """See ``EngineClient``. A payment stays where it began, so after a move another engine knows it."""
        unavailable: PayhubError | None = None
        for engine in tenant.known_engines(path.rpartition("/")[2]):
            asked = self._asked(tenant, "GET", path, traceparent)
            try:
                answer = await self._call(engine, asked)
                if answer.status != _NOT_FOUND or answer.problem() is None:
                    return answer.decode(_OK, kind)
            except UnavailableError as error:
                unavailable = error
            except EngineRefusalError as error:
                unavailable = error
        # Nobody who was asked knows it; where one was not there, that means nothing.
        raise unavailable or NotFoundError("unknown-payment", "There is nothing with this id.")

    async def find_all(
        self, tenant: TenantConfig, path: str, kind: type[AnswerT], traceparent: str
    ) -> tuple[list[AnswerT], bool]:
        """See ``EngineClient``."""

        async def ask(engine: str) -> AnswerT:
            answer = await self._call(engine, self._asked(tenant, "GET", path, traceparent))
            return answer.decode(_OK, kind)

        answers = await asyncio.gather(*map(ask, tenant.known_engines()), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, PayhubError):
                raise answer
        found = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not found:
            raise EngineUnavailableError
        return found, len(found) == len(answers)

    async def tell(
        self, tenant: TenantConfig, path: str, body: msgspec.Struct, traceparent: str, act: str = ""
    ) -> TransferAccepted:
        """See ``EngineClient``. Only the engine where a payment began takes what is told of it."""
        refused: PayhubError | None = None
        content = msgspec.json.encode(body)
        for engine in tenant.known_engines():
            asked = self._asked(tenant, "POST", path, traceparent, content)
            if act:
                asked.headers.append((HEADER_ACT, act))
            try:
                answer = await self._call(engine, asked)
                return answer.decode(_ACCEPTED, TransferAccepted)
            except EngineRefusalError as error:
                # That another one does not know it means nothing where one could not say.
                if error.code in _ELSEWHERE:
                    refused = refused or error
                elif error.problem().status == _UNAVAILABLE:
                    refused = error
                else:
                    raise
            except UnavailableError as error:
                refused = error
        raise refused or EngineUnavailableError

    def _asked(
        self, tenant: TenantConfig, method: str, path: str, traceparent: str, body: bytes = b""
    ) -> "_Asked":
        headers = [
            *self._credential,
            (HEADER_TENANT, tenant.tenant_id),
            (HEADER_EPOCH, str(tenant.epoch)),
            ("traceparent", traceparent),
            ("content-type", "application/json"),
        ]
        return _Asked(method, path, headers, body)

    async def _newer(self, tenant: TenantConfig, until_s: float, *, can_be_same: bool) -> TenantConfig:
        """Wait until a newer placement is known here, as the engine knows it already.

        Where the engine is the one that is behind, the same placement is tried again a little later.
        """
        loop = asyncio.get_running_loop()
        again_s = loop.time() + RETRY_WAIT_MAX_S if can_be_same else until_s
        while loop.time() < until_s:
            present = self._present(tenant.tenant_id)
            if present is not None and present.epoch > tenant.epoch:
                return present
            if loop.time() >= again_s:
                return tenant
            await asyncio.sleep(RETRY_WAIT_S)
        _logger.warning("the placement of tenant %s is older than its engine's", tenant.tenant_id)
        raise EngineUnavailableError

    async def _call(self, engine: str, asked: "_Asked") -> "_Answer":
        replicas = self._engines.get(engine)
        if replicas is None or self._http is None:
            _logger.error("no address for engine %s", engine)
            raise EngineUnavailableError
        breaker, loop = self._breakers[engine], asyncio.get_running_loop()
        wait_s = breaker.begin(loop.time())
        if wait_s:
            raise EngineUnavailableError(retry_after_s=math.ceil(wait_s))
        try:
            answer = await self._ask_all(self._http, replicas, asked)
        except (UnansweredError, TimeoutError) as error:
            breaker.failed(loop.time())
            _logger.warning("engine %s: %s", engine, type(error).__name__)
            raise EngineUnavailableError from error
        except BaseException:
            breaker.gave_up()
            raise
        if answer.is_leaderless and replicas.size > 1:
            breaker.failed(loop.time())
        else:
            breaker.succeeded()
        return answer

    async def _ask_all(self, http: HttpClient, replicas: EngineReplicas, asked: "_Asked") -> "_Answer":
        """Ask one replica after the other until one answers for the leader; the last one's word counts.

        Raises:
            UnansweredError, TimeoutError: the last one gave no answer.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._call_timeout_s
        # Half of the time is left for another one, where there is one.
        attempt_s = self._call_timeout_s / min(2, replicas.size)
        for attempt in itertools.count():
            url = replicas.next(loop.time())
            pause_s = min(RETRY_WAIT_S * 2 ** (attempt // replicas.size), RETRY_WAIT_MAX_S)
            left_s = end_s - loop.time()
            is_last = left_s <= pause_s
            try:
                async with asyncio.timeout(min(attempt_s, left_s)):
                    answer = await _exchange(http, asked, url)
            except AnswerTooLongError:
                raise
            except (UnansweredError, TimeoutError):
                if is_last or end_s - loop.time() <= pause_s:
                    raise
            else:
                if is_last or replicas.size == 1 or not answer.is_leaderless:
                    replicas.answered(url, answer.leader)
                    return answer
            # It is gone, or knows nobody who leads.
            replicas.failed(url, loop.time())
            await asyncio.sleep(pause_s)
        raise EngineUnavailableError


class _Asked(msgspec.Struct):
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


class _Answer(msgspec.Struct, frozen=True):
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
        if self.media_type != PROBLEM_MEDIA_TYPE:
            return None
        try:
            return msgspec.json.decode(self.body, type=Problem)
        except msgspec.MsgspecError:
            # Counted as no problem: the caller logs it and answers engine-unavailable.
            return None


async def _exchange(http: HttpClient, asked: _Asked, url: str) -> _Answer:
    answer = await http.request(
        asked.method, url + asked.path, asked.headers, asked.body, answer_bytes_max=ANSWER_BYTES_MAX
    )
    media_type, retry_after, leader = (
        answer.headers.get(name, "") for name in ("content-type", "retry-after", _LEADER)
    )
    media_type = media_type.partition(";")[0].strip().lower()
    return _Answer(answer.status, media_type, retry_after, leader, answer.body)


def _retry_after_s(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:3]), RETRY_AFTER_MAX_S)
