"""Two houses with an engine each: what is said directly travels by the outbox of the one that says it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from unit.engines.connectors.process_house import House, engine_with_processes

from payhub_engines.core.commands import AcknowledgeHandover, CorrelateMessage, QueueHandover
from payhub_engines.core.reply import Accepted
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.security.secrets import SecretBox

HOMES = {"buffalo": "north", "lion": "south"}


class EngineHouse(House):
    """A house that has only the institutions of one engine; what is for the other is queued there."""

    name = ""

    @property
    def engine_id(self) -> str:
        return self.name

    async def give(self, engine_id: str, callback: Callback) -> None:
        if engine_id == self.name:
            await super().give(engine_id, callback)
        else:
            assert isinstance(
                self.engine.execute(QueueHandover(owner=engine_id, callback=callback)), Accepted
            )


@dataclass
class TwoEngines:
    """Hands over what waits, in ways that the bus allows: ``disturb`` orders, drops and doubles it.

    Attributes:
        is_bus_up: nothing is handed over while it is not.
        handed_over: what was said, in order.
    """

    tenants: dict[str, TenantConfig]
    secrets: SecretBox
    disturb: Callable[[list[Callback]], list[Callback]] = list
    is_bus_up: bool = True
    handed_over: list[str] = field(default_factory=list)
    houses: dict[str, EngineHouse] = field(default_factory=dict)

    def __post_init__(self) -> None:
        placed = {
            fsp: msgspec.structs.replace(tenant, placement=[HOMES[fsp]])
            for fsp, tenant in self.tenants.items()
        }
        for name in ("north", "south"):
            house = EngineHouse(placed, self.secrets, engine_with_processes())
            house.name = name
            house.agree_to_pay_directly()
            self.houses[name] = house

    @property
    def north(self) -> EngineHouse:
        return self.houses["north"]

    @property
    def south(self) -> EngineHouse:
        return self.houses["south"]

    def settle(self) -> None:
        """Let both go on until nothing is left to do now."""
        while True:
            for house in self.houses.values():
                house.settle()
            if not self.is_bus_up or not any(
                [self._hand_over("north", "south"), self._hand_over("south", "north")]
            ):
                return

    def wait(self, seconds: int, step: int = 1) -> None:
        for _ in range(0, seconds, step):
            for house in self.houses.values():
                house.engine.advance(step)
            self.settle()

    def _hand_over(self, origin: str, owner: str) -> bool:
        sender, receiver = self.houses[origin].engine, self.houses[owner].engine
        waiting = {record.sequence: record.callback for record in sender.state.outbox(owner)}
        for callback in self.disturb(list(waiting.values())):
            sequence = next(number for number, one in waiting.items() if one is callback)
            self.handed_over.append(callback.name)
            reply = receiver.execute(
                CorrelateMessage(
                    callback=callback, origin=origin, sequence=sequence, lowest_open=min(waiting)
                )
            )
            assert isinstance(reply, Accepted)
            sender.execute(AcknowledgeHandover(owner=owner, sequence=sequence))
        return bool(waiting)
