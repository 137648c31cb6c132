"""The gateway's side of the engines' API."""

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

import msgspec

from payhub_gateway.circuit_breaker import CircuitBreaker
from payhub_gateway.engine_exchange import (
    Answer,
    AnswerT,
    Asked,
    EngineRefusalError,
    EngineUnavailableError,
    exchange,
)
from payhub_gateway.engine_replicas import EngineReplicas
from payhub_platform.contracts.channel import TransferAccepted
from payhub_platform.contracts.engine import (
    HEADER_ACT,
    HEADER_EPOCH,
    HEADER_TENANT,
    PATH_PAYMENTS,
    PATH_RECALLS,
    RecallStart,
)
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import (
    NotFoundError,
    PayhubError,
    UnavailableError,
)
from payhub_platform.http_client import AnswerTooLongError, HttpClient, UnansweredError
from payhub_platform.replicas import ENGINES_VARIABLE, engine_addresses
from payhub_platform.security.internal import internal_headers

_logger = logging.getLogger(__name__)

CALL_TIMEOUT_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 1.0
RETRY_WAIT_S: Final = 0.05  # twice as long after each round of the replicas
RETRY_WAIT_MAX_S: Final = 0.4
PLACEMENT_WAIT_S: Final = 2.0  # for news of a placement that an engine knows already
CONNECTIONS_MAX: Final = 256

_OK: Final = 200
_ACCEPTED: Final = 202
_NOT_FOUND: Final = 404
_UNAVAILABLE: Final = 503
# What an engine says of a payment that it does not know; another one may know it.
_ELSEWHERE: Final = frozenset({"nothing-to-confirm", "not-refundable"})

ReadT = TypeVar("ReadT")


class Begun(Protocol):
    """A body that begins something at an engine."""

    @property
    def payment_id(self) -> str:
        """The same again is the same act."""

    @property
    def fingerprint(self) -> str:
        """The same id with another one is refused."""


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
            NotFoundError: code ``unknown-payment``; no engine knows what it is about for this tenant.
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
        self._engines = {
            engine: EngineReplicas(engine_addresses(text, ENGINES_VARIABLE))
            for engine, text in engines.items()
        }
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
            answer = await self._begin(tenant, path, payment, traceparent, body)
            if not answer.is_misplaced:
                return answer.decode(_ACCEPTED, TransferAccepted)
            tenant = await self._newer(tenant, until_s, can_be_same=answer.is_behind)

    async def _begin(
        self, tenant: TenantConfig, path: str, payment: Begun, traceparent: str, body: bytes
    ) -> Answer:
        """Return the answer of an engine that has begun it, else of the one that begins it now."""
        engine = tenant.engine_of(payment.payment_id)
        begun = RecallStart(path=path, payment_id=payment.payment_id, fingerprint=payment.fingerprint)
        for former in tenant.formers(but=engine):
            recall = self._asked(tenant, "POST", PATH_RECALLS, traceparent, msgspec.json.encode(begun))
            answer = await self._call(former, recall)
            if not answer.is_unknown_payment:
                return answer
        return await self._call(engine, self._asked(tenant, "POST", path, traceparent, body))

    async def find(self, tenant: TenantConfig, path: str, kind: type[AnswerT], traceparent: str) -> AnswerT:
        """See ``EngineClient``. A payment stays where it began, so after a move another engine knows it."""
        return await self._first_that_knows(
            tenant, path, traceparent, lambda answer: answer.decode(_OK, kind)
        )

    async def _first_that_knows(
        self, tenant: TenantConfig, path: str, traceparent: str, read: Callable[[Answer], ReadT]
    ) -> ReadT:
        """Read the answer of the first engine that knows what a path is about; errors as for ``find``."""
        unavailable: PayhubError | None = None
        for engine in tenant.known_engines(path.rpartition("/")[2]):
            asked = self._asked(tenant, "GET", path, traceparent)
            try:
                answer = await self._call(engine, asked)
                if answer.status != _NOT_FOUND or answer.problem() is None:
                    return read(answer)
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
        if isinstance(refused, EngineRefusalError) and refused.code in _ELSEWHERE:
            # What is about nothing that the tenant has is refused as reading it is.
            await self._first_that_knows(tenant, path.rpartition("/")[0], traceparent, lambda answer: answer)
        raise refused or EngineUnavailableError

    def _asked(
        self, tenant: TenantConfig, method: str, path: str, traceparent: str, body: bytes = b""
    ) -> Asked:
        headers = [
            *self._credential,
            (HEADER_TENANT, tenant.tenant_id),
            (HEADER_EPOCH, str(tenant.epoch)),
            ("traceparent", traceparent),
            ("content-type", "application/json"),
        ]
        return Asked(method, path, headers, body)

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

    async def _call(self, engine: str, asked: Asked) -> Answer:
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

    async def _ask_all(self, http: HttpClient, replicas: EngineReplicas, asked: Asked) -> Answer:
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
                    answer = await exchange(http, asked, url)
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
