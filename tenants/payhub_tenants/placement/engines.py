"""What placement asks of engines: what is open of a tenant, and how much room they have."""

from collections.abc import Mapping
from typing import Final, Protocol, TypeVar

import aiohttp
import msgspec

from payhub_platform.contracts.engine import (
    HEADER_EPOCH,
    PATH_DRAIN,
    PATH_OVERVIEW,
    PATH_TENANTS,
    EngineOverview,
    TenantDrain,
)
from payhub_platform.replicas import ENGINES_VARIABLE, engine_addresses
from payhub_platform.security.internal import internal_headers

CALL_TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024  # an overview tells of up to 500 incidents
_OK: Final = 200

AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)


class EngineSilentError(Exception):
    """An engine did not tell; ``str`` says why."""


class Engines(Protocol):
    """The engines, by id."""

    async def drain(self, engine: str, tenant_id: str, epoch: int) -> TenantDrain:
        """Have an engine begin nothing of an older epoch any more, and tell what is open of the tenant.

        Raises:
            EngineSilentError: it did not.
        """
        ...

    async def overview(self, engine: str) -> EngineOverview:
        """Return what is in flight at an engine, and its limits.

        Raises:
            EngineSilentError: it does not tell.
        """
        ...


class HttpEngines:
    """Engines over HTTP: any replica answers, so the next one is asked where one does not.

    Args:
        http: the session.
        addresses: engine id -> base URL, or ``1=URL,2=URL`` of its replicas.
        internal_token: the credential between payhub's own processes.
    """

    def __init__(
        self, http: aiohttp.ClientSession, addresses: Mapping[str, str], internal_token: str
    ) -> None:
        self._http = http
        self._urls = {
            engine: list(engine_addresses(text, ENGINES_VARIABLE).values())
            for engine, text in addresses.items()
        }
        self._credential = internal_headers(internal_token)

    async def drain(self, engine: str, tenant_id: str, epoch: int) -> TenantDrain:
        """POST /engine/v1/tenants/{id}/drain."""
        path = f"{PATH_TENANTS}/{tenant_id}/{PATH_DRAIN}"
        return await self._ask("POST", engine, path, TenantDrain, {HEADER_EPOCH: str(epoch)})

    async def overview(self, engine: str) -> EngineOverview:
        """GET /engine/v1/overview."""
        return await self._ask("GET", engine, PATH_OVERVIEW, EngineOverview, {})

    async def _ask(
        self, method: str, engine: str, path: str, kind: type[AnswerT], headers: dict[str, str]
    ) -> AnswerT:
        why = "it has no address"
        for url in self._urls.get(engine, ()):
            try:
                async with self._http.request(
                    method,
                    url + path,
                    headers={**self._credential, **headers},
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
                ) as answer:
                    body = await answer.content.read(ANSWER_BYTES_MAX)
                    if answer.status == _OK and answer.content.at_eof():
                        return msgspec.json.decode(body, type=kind)
                    why = f"HTTP {answer.status}"
            except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
                why = type(error).__name__
        raise EngineSilentError(f"engine {engine} does not answer: {why}")
