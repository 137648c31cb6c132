"""Which engine a message of the scheme belongs to, while its tenant is at one, at several, or moves."""

import msgspec
import pytest
from unit.engines.core.conftest import Model
from unit.gateway.gateway_kit import tenant_config

from payhub_engines.connectors.mojaloop.received import names
from payhub_engines.core.commands import FenceTenant, StartInstance
from payhub_engines.handover.placing import HOPS_MAX, Belongs, Placing, sent_on
from payhub_engines.testkit import Engine
from payhub_platform.contracts.handover import Callback, Subject
from payhub_platform.contracts.tenant import FormerEngine
from payhub_platform.errors import UnavailableError

ANSWER = Callback(tenant="lion", name="answer", correlation_key="k", variables={})


def waiting(message: str) -> bytes:
    model = Model().start().receive("wait", message, key="= id").end()
    return model.path("start", "wait", "end").xml()


def request(process: str) -> Callback:
    return Callback(
        tenant="lion", name="n", correlation_key="k", variables={}, start_process=process, payment="x"
    )


def placed(*placement: str, former=(), drained=(), weights=()):
    earlier = [FormerEngine(engine=engine) for engine in former]
    earlier += [FormerEngine(engine=engine, is_drained=True) for engine in drained]
    return tenant_config(
        "lion", [], epoch=2, placement=list(placement), weights=list(weights), former=earlier
    )


class North(Placing):
    """The engine north, and what others have begun."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.begun: set[str] = set()
        self.silent: set[str] = set()
        self.asked: list[str] = []
        super().__init__("north", lambda: self.engine.state, self._told)

    async def _told(self, engine: str, asked) -> bool:
        self.asked.append(engine)
        assert (asked.tenant, asked.epoch, asked.payment) == ("lion", 2, "x")
        if engine in self.silent:
            raise UnavailableError("engine-unasked", "It does not answer.")
        return engine in self.begun


@pytest.fixture
def north() -> North:
    return North()


async def test_a_tenant_at_one_engine_is_served_there_and_nobody_is_asked(north: North):
    for callback in (ANSWER, request(names.PAYEE_QUOTE_TRANSFER), request(names.REFUSE_QUERY)):
        assert (await north.of(placed("north", "south"), callback)).here
        assert await north.of(placed("south", "north"), callback) == Belongs(here=False, owners=("south",))
    assert north.asked == []


async def test_an_answer_goes_wherever_somebody_may_wait(north: North):
    both = Belongs(here=True, owners=("south",))
    assert await north.of(placed("south", former=["north"]), ANSWER) == both
    assert await north.of(placed("north", former=["south"]), ANSWER) == both
    assert await north.of(placed("north", "south", weights=[50, 50]), ANSWER) == both
    others = Belongs(here=False, owners=("south", "west"))
    assert await north.of(placed("south", former=["west"], drained=["north"]), ANSWER) == others
    sent = ANSWER
    for _ in range(HOPS_MAX):
        sent = sent_on(sent)
    assert await north.of(placed("south", former=["north"]), sent) == Belongs(here=True)


async def test_who_waits_gets_it_wherever_the_tenant_is(north: North):
    north.engine.deploy(waiting("answer"))
    north.engine.execute(
        StartInstance(process="p", tenant="lion", payment="x", fingerprint="f", variables={"id": "k"})
    )
    assert await north.of(placed("south", former=["north"]), ANSWER) == Belongs(here=True)
    assert await north.of(placed("south"), msgspec.structs.replace(request("p"), name="answer")) == Belongs(
        here=True
    )


async def test_what_has_begun_here_is_not_begun_elsewhere(north: North):
    north.engine.deploy(waiting("other"))
    north.engine.execute(
        StartInstance(process="p", tenant="lion", payment="x", fingerprint="f", variables={"id": "k"})
    )
    assert await north.of(placed("south", former=["north"]), request("p")) == Belongs(here=True)


async def test_a_request_begins_at_home_unless_it_has_begun_before(north: North):
    home, quote = placed("north", former=["south", "west"]), request(names.PAYEE_QUOTE_TRANSFER)
    assert await north.of(home, quote) == Belongs(here=True, epoch=2)
    assert north.asked == ["south", "west"]
    north.begun = {"west"}
    assert await north.of(home, quote) == Belongs(here=False, owners=("west",))
    north.silent = {"south"}
    with pytest.raises(UnavailableError) as refused:
        await north.of(home, quote)
    assert refused.value.code == "engine-unasked"


@pytest.mark.parametrize(
    ("process", "asked"),
    [
        (names.PAYEE_PARTY_LOOKUP, []),
        (names.PAYEE_QUOTE_TRANSFER, ["south"]),
        (names.PAYER_TRANSACTION_REQUEST, ["south", "east"]),  # it makes a member pay, however late it comes
        (names.REFUSE_QUERY, ["west", "south"]),  # what it is about may run at any of these
    ],
)
async def test_who_is_asked_depends_on_what_would_begin(north: North, process: str, asked: list[str]):
    tenant = placed("north", "west", weights=[50, 50], former=["south", "north"], drained=["east"])
    await north.of(tenant, request(process))
    assert north.asked == asked


def about(**changes) -> Callback:
    """A message about an instance, which is answered where none is known."""
    given = {"process": "p", "key": "x", "variables": [], "answer_process": "a", "answer_key": "y"}
    subject = Subject(**{"or_unknown": True, **given, **changes})
    return msgspec.structs.replace(ANSWER, subject=subject)


async def test_a_message_goes_to_the_engine_that_knows_what_it_is_about(north: North):
    moved = placed("north", "west", weights=[50, 50], former=["south"], drained=["east"])
    assert await north.of(moved, about()) == Belongs(here=True, epoch=2)
    assert north.asked[:3] == ["west", "south", "east"]
    north.begun = {"east"}
    assert await north.of(moved, about()) == Belongs(here=False, owners=("east",))
    north.engine.deploy(waiting("other"))
    north.engine.execute(
        StartInstance(process="p", tenant="lion", payment="x", fingerprint="f", variables={"id": "k"})
    )
    assert await north.of(moved, about()) == Belongs(here=True)


async def test_a_message_about_something_is_taken_by_any_engine_without_asking(north: North):
    assert await north.of(placed("south", former=["west"]), about()) == Belongs(here=False, owners=("south",))
    assert await north.of(placed("south"), about(or_unknown=False)) == Belongs(here=False, owners=("south",))
    assert north.asked == []


async def test_an_engine_that_is_fenced_but_has_not_heard_where_the_tenant_is_takes_nothing(north: North):
    north.engine.execute(FenceTenant(tenant="lion", epoch=3))
    for callback in (ANSWER, request(names.PAYEE_QUOTE_TRANSFER)):
        with pytest.raises(UnavailableError) as refused:
            await north.of(placed("north"), callback)
        assert refused.value.code == "placement-unknown"


async def test_engines_that_do_not_agree_send_nothing_round_in_circles(north: North):
    sent = sent_on(sent_on(request(names.PAYEE_QUOTE_TRANSFER)))
    with pytest.raises(UnavailableError):
        await north.of(placed("south", former=["north"]), sent)
