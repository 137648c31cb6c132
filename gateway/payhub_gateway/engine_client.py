"""The gateway's side of the engines' API."""

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

import aiohttp
import msgspec

from payhub_gateway.circuit_breaker import CircuitBreaker
from payhub_gateway.engine_replicas import EngineReplicas, addresses_of
from payhub_platform.contracts.channel import TransferAccepted, TransferStatus
from payhub_platform.contracts.engine import (
    HEADER_EPOCH,
    HEADER_LEADER,
    HEADER_TENANT,
    PATH_PAYMENTS,
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

_OK: Final = 200
_ACCEPTED: Final = 202
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_UNAVAILABLE: Final = 503
# What an engine says about the payment itself is for the channel to read. Other refusals (credential, epoch,
# path) are between the gateway and the engine, and mean to the channel that the engine cannot serve it now.
_FOR_CHANNEL: Final = frozenset({400, 422, 429, 503})
_SUSPENDED: Final = "tenant-suspended"
_MISPLACED: Final = frozenset({"stale-epoch", "not-placed-here"})

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


class EngineClient(Protocol):
    """How the gateway talks to the engine that serves a tenant."""

    async def start(
        self, tenant: TenantConfig, payment: msgspec.Struct, traceparent: str, path: str = PATH_PAYMENTS
    ) -> TransferAccepted:
        """Have the tenant's home engine commit a payment, or what else begins under a path of its API.

        Raises:
            EngineRefusalError: what the engine says against the payment.
            ForbiddenError: code ``tenant-suspended``.
            EngineUnavailableError: code ``engine-unavailable``; whether it was committed is not known.
        """

    async def status(self, tenant: TenantConfig, payment_id: str, traceparent: str) -> TransferStatus:
        """Ask how a payment stands.

        Raises:
            NotFoundError: code ``unknown-payment``; the engine does not know it for this tenant.
            EngineUnavailableError: code ``engine-unavailable``.
        """

    async def find(self, tenant: TenantConfig, path: str, kind: type[AnswerT], traceparent: str) -> AnswerT:
        """Ask how something stands that began under a path.

        Raises:
            NotFoundError: code ``unknown-payment``; no engine knows it for this tenant.
            EngineUnavailableError: code ``engine-unavailable``.
        """


class HttpEngineClient:
    """Talks HTTP to the leader of a tenant's home engine, or to another replica, which asks the leader.

    Every call has an end: an answer, or ``EngineUnavailableError`` after ``call_timeout_s`` at most. A start
    is asked of the home engine alone, however often: another engine does not know whether it was
    committed there. It follows a placement that has moved meanwhile only where no attempt may have
    reached the former engine.

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
        self._credential = internal_headers(internal_token)
        self._call_timeout_s = call_timeout_s
        self._present = present
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Prepare for calls; needs the running event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def start(
        self, tenant: TenantConfig, payment: msgspec.Struct, traceparent: str, path: str = PATH_PAYMENTS
    ) -> TransferAccepted:
        """See ``EngineClient``. Asked again where that may help; the payment's id makes it harmless."""
        body = msgspec.json.encode(payment)
        until_s = asyncio.get_running_loop().time() + PLACEMENT_WAIT_S
        while True:
            asked = self._asked(tenant, "POST", path, traceparent, body)
            answer = await self._call(tenant.home_engine, asked)
            if not answer.is_misplaced or asked.is_doubtful:
                return answer.decode(_ACCEPTED, TransferAccepted)
            tenant = await self._newer(tenant, until_s)

    async def status(self, tenant: TenantConfig, payment_id: str, traceparent: str) -> TransferStatus:
        """See ``EngineClient``."""
        return await self.find(tenant, f"{PATH_PAYMENTS}/{payment_id}", TransferStatus, traceparent)

    async def find(self, tenant: TenantConfig, path: str, kind: type[AnswerT], traceparent: str) -> AnswerT:
        """See ``EngineClient``. A payment stays where it began, so after a move another engine knows it."""
        unavailable: PayhubError | None = None
        for engine in tenant.placement:
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

    def _asked(
        self, tenant: TenantConfig, method: str, path: str, traceparent: str, body: bytes | None = None
    ) -> "_Asked":
        headers = {
            **self._credential,
            HEADER_TENANT: tenant.tenant_id,
            HEADER_EPOCH: str(tenant.epoch),
            "traceparent": traceparent,
            "content-type": "application/json",
        }
        return _Asked(method, path, headers, body)

    async def _newer(self, tenant: TenantConfig, until_s: float) -> TenantConfig:
        """Wait until a newer placement is known here, as the engine knows it already."""
        while asyncio.get_running_loop().time() < until_s:
            present = self._present(tenant.tenant_id)
            if present is not None and present.epoch > tenant.epoch:
                return present
            await asyncio.sleep(RETRY_WAIT_S)
        _logger.warning("the placement of tenant %s is older than its engine's", tenant.tenant_id)
        raise EngineUnavailableError

    async def _call(self, engine: str, asked: "_Asked") -> "_Answer":
        replicas = self._engines.get(engine)
        if replicas is None or self._session is None:
            _logger.error("no address for engine %s", engine)
            raise EngineUnavailableError
        breaker, loop = self._breakers[engine], asyncio.get_running_loop()
        wait_s = breaker.begin(loop.time())
        if wait_s:
            raise EngineUnavailableError(retry_after_s=math.ceil(wait_s))
        try:
            answer = await self._ask_all(self._session, replicas, asked)
        except (aiohttp.ClientError, TimeoutError) as error:
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

    async def _ask_all(
        self, session: aiohttp.ClientSession, replicas: EngineReplicas, asked: "_Asked"
    ) -> "_Answer":
        """Ask one replica after the other until one answers for the leader; the last one's word counts.

        Raises:
            aiohttp.ClientError, TimeoutError: the last one gave no answer.
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
                    answer = await _exchange(session, asked, url)
            except (aiohttp.ClientConnectionError, TimeoutError) as error:
                asked.is_doubtful |= not isinstance(error, aiohttp.ClientConnectorError)
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
    headers: dict[str, str]
    body: bytes | None
    is_doubtful: bool = False  # an attempt may have reached the engine and was not answered


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
        """Whether the engine knows a newer placement of the tenant; it did nothing."""
        problem = self.problem() if self.status == _CONFLICT else None
        return problem is not None and problem.code in _MISPLACED

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


async def _exchange(session: aiohttp.ClientSession, asked: _Asked, url: str) -> _Answer:
    async with session.request(
        asked.method, url + asked.path, data=asked.body, headers=asked.headers, allow_redirects=False
    ) as response:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > ANSWER_BYTES_MAX:
                raise aiohttp.ClientPayloadError("the answer is too long")
        retry_after, leader = (response.headers.get(name, "") for name in ("Retry-After", HEADER_LEADER))
        return _Answer(response.status, response.content_type, retry_after, leader, bytes(content))


def _retry_after_s(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:3]), RETRY_AFTER_MAX_S)
