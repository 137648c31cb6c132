"""A tenant that moves while its payments and look-ups begin: real clients and engines, a bad network.

Requests are lost, delayed until long after their sender has given up, and answered in vain; engines crash;
every gateway and engine hears of a placement in its own time.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
from litestar import Litestar
from litestar.di import Provide
from simulation.simulated_engine import SimulatedDisk, SimulatedStream
from unit.gateway.gateway_kit import tenant_config

from payhub_engines.connectors.member import ACCOUNT_PROCESS
from payhub_engines.connectors.payment import PAYER_PROCESS
from payhub_engines.core.commands import DeployProcess, FoundEngine
from payhub_engines.core.events import InstanceStarted, decode_entry
from payhub_engines.processes import load
from payhub_engines.server.api import PaymentsController
from payhub_engines.server.engine import Engine
from payhub_engines.server.members_api import AccountsController
from payhub_engines.server.recalls_api import RecallsController
from payhub_gateway.engine_client import HttpEngineClient
from payhub_platform import ids
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.contracts.engine import PATH_ACCOUNTS, PATH_PAYMENTS, StartAccountLookup, StartPayment
from payhub_platform.contracts.tenant import FormerEngine, TenantConfig
from payhub_platform.errors import PayhubError, UnavailableError
from payhub_platform.http import exception_handlers
from payhub_platform.http_client import Answer, UnansweredError
from payhub_platform.money import Money
from payhub_platform.telemetry.tracing import Tracing
from payhub_tenants.placement.model import PlacementRecord, begins, formers_after

ENGINES = ("north", "south", "west")
GATEWAYS = 3
PAYMENTS = 10
REPEATS_MAX = 5
MOVES = 4
STORY_S = 8.0
LAGS_S_MAX = (0.2, 8.0)  # of the news of a placement: some hear of it soon, some late
LATE_S_MAX = 9.0  # of a request; whoever sent it has given up after five seconds
CRASHES_MAX = 2
HEALED_S_MAX = 120.0

_PROCESSES = [
    next(xml for _, xml in load() if f'id="{process}"'.encode() in xml)
    for process in (PAYER_PROCESS, ACCOUNT_PROCESS)
]


def wanted(number: int) -> tuple[str, StartPayment | StartAccountLookup]:
    """Return what a client asks for, and under which path: payments, and between them look-ups."""
    payment_id = ids.payment_id("buffalo", "ussd", str(number))
    party = PartyIdInfo(party_id_type="MSISDN", party_identifier="1")
    if number % 2:
        lookup = StartAccountLookup(payment_id=payment_id, fingerprint="f", client_id="ussd", party=party)
        return PATH_ACCOUNTS, lookup
    return PATH_PAYMENTS, StartPayment(
        payment_id=payment_id,
        idempotency_key=str(number),
        fingerprint="f",
        client_id="ussd",
        payer=party,
        payee=party,
        amount=Money(100, "KES"),
    )


class MovingEngine(Engine):
    """An engine of which the API where things begin is there, on a log that is a list."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self.known: dict[str, TenantConfig] = {}
        self.disk = SimulatedDisk()  # type: ignore[assignment]
        self.settings = SimpleNamespace(engine_id=name, internal_token="secret")  # type: ignore[assignment]
        self.tracing = Tracing("test")
        self.clock = lambda: 0
        self.directory = SimpleNamespace(get=self.known.get)  # type: ignore[assignment]
        self._opening = [FoundEngine(origin=f"{name}/first"), *(DeployProcess(xml=xml) for xml in _PROCESSES)]
        self._chance = chance
        self._running: asyncio.Task[None] | None = None
        self.http: httpx.AsyncClient | None = None

    def begin(self) -> None:
        """Start, or start again from the disk."""
        self.stream = SimulatedStream(self.disk, self._opening, self._chance)  # type: ignore[arg-type,assignment]
        self._running = asyncio.create_task(self.stream.run())  # type: ignore[attr-defined]
        app = Litestar(
            [PaymentsController, AccountsController, RecallsController],
            dependencies={"engine": Provide(lambda: self, sync_to_thread=False)},
            exception_handlers=exception_handlers(),
            openapi_config=None,
            logging_config=None,
        )
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://engine")

    async def crash(self) -> None:
        """End in the middle of whatever it does."""
        self.http = None
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        self.stream.crash()  # type: ignore[attr-defined]

    def started(self) -> list[str]:
        """Return what has begun here."""
        events = [event for raw in self.disk.log for event in decode_entry(raw).events]  # type: ignore[attr-defined]
        return [event.payment for event in events if isinstance(event, InstanceStarted)]


class UntrustedClient:
    """What the gateway's client needs of an HTTP client, over a network that cannot be trusted."""

    def __init__(self, world: "MovingWorld") -> None:
        self._world = world

    async def request(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes, **_: Any
    ) -> Answer:
        """Deliver a request never, late or at once, whether somebody still waits or not; its answer too."""
        world, (_scheme, _empty, name, *rest) = self._world, url.split("/")
        arriving = asyncio.create_task(world.deliver(name, method, "/" + "/".join(rest), body, dict(headers)))
        world.deliveries.add(arriving)
        arriving.add_done_callback(world.deliveries.discard)
        answer = await asyncio.shield(arriving)
        if answer is None:
            raise UnansweredError("lost")
        return answer


class MovingWorld:
    """One story, told by a seed."""

    def __init__(self, seed: int, former_is_told: bool = True) -> None:
        self.chance = random.Random(seed)
        self.is_bad = True
        self.deliveries: set[asyncio.Task[Any]] = set()
        self._former_is_told = former_is_told
        self.engines = {name: MovingEngine(name, self.chance) for name in ENGINES}
        self._record = PlacementRecord(is_pinned=True, weights=[])
        self.config = tenant_config("buffalo", [], epoch=1, version=1, placement=["north"])
        self._known = [{"buffalo": self.config} for _ in range(GATEWAYS)]
        self.accepted: Counter[str] = Counter()

    async def tell(self) -> None:
        """Tell the story, heal the world, repeat every payment once more, and check the logs."""
        for engine in self.engines.values():
            engine.known["buffalo"] = self.config
            engine.begin()
        acts = [self._crashes(engine) for engine in self.engines.values()]
        acts += [self._payment(number) for number in range(PAYMENTS)]
        await asyncio.gather(self._moves(), *acts)
        self.is_bad = False
        async with asyncio.timeout(HEALED_S_MAX):
            await asyncio.gather(*(self._until_accepted(number) for number in range(PAYMENTS)))
            while self.deliveries:  # the last late requests
                await asyncio.wait(self.deliveries)
        for engine in self.engines.values():
            await engine.crash()
        started = Counter(one for engine in self.engines.values() for one in engine.started())
        all_wanted = {wanted(number)[1].payment_id for number in range(PAYMENTS)}
        assert set(started) == all_wanted, "something was lost"
        assert all(count == 1 for count in started.values()), "something has begun twice"

    async def deliver(
        self, name: str, method: str, path: str, data: bytes, headers: dict[str, str]
    ) -> Answer | None:
        """Bring a request to an engine; None where the answer is lost."""
        await asyncio.sleep(self._delay_s())
        engine = self.engines[name]
        if engine.http is None or (self.is_bad and self.chance.random() < 0.1):
            return None
        answer = await engine.http.request(method, path, content=data, headers=headers)
        await asyncio.sleep(self._delay_s())
        if self.is_bad and self.chance.random() < 0.2:
            return None
        return Answer(answer.status_code, dict(answer.headers), answer.content)

    def _delay_s(self) -> float:
        kind = self.chance.random() if self.is_bad else 1.0
        return self.chance.uniform(0, LATE_S_MAX if kind < 0.25 else 0.05)

    async def _moves(self) -> None:
        for _ in range(MOVES):
            await asyncio.sleep(self.chance.uniform(0, 2 * STORY_S / MOVES))
            placement = self.chance.sample(ENGINES, self.chance.randint(1, 2))
            share = self.chance.choice((0, 30, 100))
            weights = [share, 100 - share] if len(placement) > 1 else []
            began = begins(self.config.placement, self._record.weights)
            epoch = self.config.epoch + 1
            former = formers_after(self._record.former, began, epoch)
            self._record = PlacementRecord(is_pinned=True, weights=weights, former=former)
            told = former if self._former_is_told else []
            self.config = msgspec.structs.replace(
                self.config,
                epoch=epoch,
                version=epoch,
                placement=placement,
                weights=weights,
                former=[FormerEngine(engine=each.engine) for each in told],
            )
            for known in (*self._known, *(engine.known for engine in self.engines.values())):
                lag_s = self.chance.uniform(0, self.chance.choice(LAGS_S_MAX))
                asyncio.get_running_loop().call_later(lag_s, _take, known, self.config)
        await asyncio.sleep(max(LAGS_S_MAX))

    async def _crashes(self, engine: MovingEngine) -> None:
        for _ in range(self.chance.randint(0, CRASHES_MAX)):
            await asyncio.sleep(self.chance.uniform(0, STORY_S / CRASHES_MAX))
            await engine.crash()
            await asyncio.sleep(self.chance.uniform(0, 2.0))
            engine.begin()

    async def _payment(self, number: int) -> None:
        """Ask for a payment again and again, whatever was answered, through any gateway."""
        await asyncio.sleep(self.chance.uniform(0, STORY_S))
        tries = []
        for _ in range(self.chance.randint(1, REPEATS_MAX)):
            tries.append(asyncio.create_task(self._try(number)))
            await asyncio.sleep(self.chance.uniform(0, 3.0))
        await asyncio.gather(*tries)

    async def _try(self, number: int) -> bool:
        known = self.chance.choice(self._known)
        addresses = {name: f"http://{name}" for name in ENGINES}
        path, asked = wanted(number)
        client = HttpEngineClient(addresses, "secret", present=known.get)
        client._http = UntrustedClient(self)  # type: ignore[assignment]
        try:
            await client.start(known["buffalo"], asked, "", path)
        except UnavailableError:
            return False
        except PayhubError as error:
            assert error.retry_after_s is not None or error.code == "placement-unknown", error  # noqa: PT017
            return False
        self.accepted[asked.payment_id] += 1
        return True

    async def _until_accepted(self, number: int) -> None:
        while not await self._try(number):
            await asyncio.sleep(0.5)


def _take(known: dict[str, TenantConfig], config: TenantConfig) -> None:
    if config.version > known["buffalo"].version:
        known["buffalo"] = config
