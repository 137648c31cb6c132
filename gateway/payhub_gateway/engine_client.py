"""The gateway's side of the engines' API."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final, Protocol, TypeVar

import aiohttp
import msgspec

from payhub_gateway.engine_replicas import EngineReplicas, addresses_of
from payhub_platform.contracts.channel import TransferAccepted, TransferStatus
from payhub_platform.contracts.engine import (
    HEADER_EPOCH,
    HEADER_LEADER,
    HEADER_TENANT,
    PATH_PAYMENTS,
    StartPayment,
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
ROUNDS_MAX: Final = 2  # how often each replica is asked within one call
RETRY_WAIT_S: Final = 0.05
CONNECTIONS_MAX: Final = 256
ANSWER_BYTES_MAX: Final = 64 * 1024
RETRY_AFTER_MAX_S: Final = 60

_OK: Final = 200
_ACCEPTED: Final = 202
_NOT_FOUND: Final = 404
_UNAVAILABLE: Final = 503
# What an engine says about the payment itself is for the channel to read. Other refusals (credential, epoch,
# path) are between the gateway and the engine, and mean to the channel that the engine cannot serve it now.
_FOR_CHANNEL: Final = frozenset({400, 422, 429, 503})
_SUSPENDED: Final = "tenant-suspended"

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

    def __init__(self) -> None:
        super().__init__("engine-unavailable", "The payment engine does not answer; send the same again.")


class EngineClient(Protocol):
    """How the gateway talks to the engine that serves a tenant."""

    async def start(self, tenant: TenantConfig, payment: StartPayment, traceparent: str) -> TransferAccepted:
        """Have the engine commit a payment.

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


class HttpEngineClient:
    """Talks HTTP to the leader of a tenant's home engine, or to another replica, which asks the leader.

    Args:
        engines: engine id -> base URL, or ``1=URL,2=URL,3=URL`` for an engine of several replicas.
        internal_token: the credential between payhub's own processes.
        call_timeout_s: how long a call may take, with all its attempts.
    """

    def __init__(
        self, engines: Mapping[str, str], internal_token: str, call_timeout_s: float = CALL_TIMEOUT_S
    ) -> None:
        self._engines = {engine: EngineReplicas(addresses_of(text)) for engine, text in engines.items()}
        self._credential = internal_headers(internal_token)
        self._call_timeout_s = call_timeout_s
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

    async def start(self, tenant: TenantConfig, payment: StartPayment, traceparent: str) -> TransferAccepted:
        """See ``EngineClient``. Asked again where that may help; the payment's id makes it harmless."""
        body = msgspec.json.encode(payment)
        answer = await self._call(tenant, "POST", PATH_PAYMENTS, traceparent, body)
        return answer.decode(_ACCEPTED, TransferAccepted)

    async def status(self, tenant: TenantConfig, payment_id: str, traceparent: str) -> TransferStatus:
        """See ``EngineClient``."""
        answer = await self._call(tenant, "GET", f"{PATH_PAYMENTS}/{payment_id}", traceparent)
        if answer.status == _NOT_FOUND and answer.problem() is not None:
            raise NotFoundError("unknown-payment", "There is no such transfer.")
        return answer.decode(_OK, TransferStatus)

    async def _call(
        self, tenant: TenantConfig, method: str, path: str, traceparent: str, body: bytes | None = None
    ) -> "_Answer":
        replicas = self._engines.get(tenant.home_engine)
        if replicas is None or self._session is None:
            _logger.error("no address for engine %s of tenant %s", tenant.home_engine, tenant.tenant_id)
            raise EngineUnavailableError
        headers = {
            **self._credential,
            HEADER_TENANT: tenant.tenant_id,
            HEADER_EPOCH: str(tenant.epoch),
            "traceparent": traceparent,
            "content-type": "application/json",
        }
        asked = _Asked(self._session, method, path, headers, body)
        try:
            async with asyncio.timeout(self._call_timeout_s):
                return await self._ask_all(replicas, asked)
        except (aiohttp.ClientError, TimeoutError) as error:
            _logger.warning("engine %s: %s", tenant.home_engine, type(error).__name__)
            raise EngineUnavailableError from error

    async def _ask_all(self, replicas: EngineReplicas, asked: "_Asked") -> "_Answer":
        """Ask one replica after the other until one answers for the leader; the last one's word counts.

        Raises:
            aiohttp.ClientError, TimeoutError: the last one gave no answer.
        """
        # Half of the time is left for another one, where there is one.
        attempt_s = self._call_timeout_s / min(ROUNDS_MAX, replicas.size)
        for left in reversed(range(ROUNDS_MAX * replicas.size)):
            url = replicas.next(asyncio.get_running_loop().time())
            try:
                async with asyncio.timeout(attempt_s):
                    answer = await _exchange(asked, url)
            except (aiohttp.ClientConnectionError, TimeoutError):
                if not left:
                    raise
            else:
                if not left or replicas.size == 1 or answer.leader or answer.status != _UNAVAILABLE:
                    replicas.answered(url, answer.leader)
                    return answer
            # It is gone, or knows nobody who leads.
            replicas.failed(url, asyncio.get_running_loop().time())
            await asyncio.sleep(RETRY_WAIT_S)
        raise EngineUnavailableError


class _Asked(msgspec.Struct, frozen=True):
    session: aiohttp.ClientSession
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


class _Answer(msgspec.Struct, frozen=True):
    status: int
    media_type: str
    retry_after: str
    leader: str
    body: bytes

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


async def _exchange(asked: _Asked, url: str) -> _Answer:
    async with asked.session.request(
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
