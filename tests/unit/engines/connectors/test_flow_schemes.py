"""The flows in schemes that differ from the first: another form of ILP, and a secret replaced on the way."""

import itertools

import msgspec
import pytest
from unit.engines.connectors.flow_troubles import run
from unit.engines.connectors.flows import FLOWS
from unit.engines.connectors.process_house import House, assert_completed, engine_with_processes

from payhub_engines.connectors.mojaloop import ilp
from payhub_platform import ids


@pytest.fixture(scope="module")
def make_house(tenants, secrets):
    engine, numbers = engine_with_processes(), itertools.count()
    speaking = {
        fsp: msgspec.structs.replace(
            tenant, scheme=msgspec.structs.replace(tenant.scheme, versions=("2.0", "1.1"), ilp_version=4)
        )
        for fsp, tenant in tenants.items()
    }
    return lambda: House(speaking, secrets, engine, ids.derive("scheme", str(next(numbers))))


@pytest.mark.parametrize("flow", FLOWS, ids=[flow.name for flow in FLOWS])
def test_every_flow_runs_in_version_2_with_packets_of_version_4(flow, make_house):
    house, result = run(flow, make_house, None, "")
    assert result.wrong == []
    by_scheme = [message for message in house.sent if not message.name.startswith("direct")]
    assert {message.headers["content-type"].partition("version=")[2] for message in by_scheme} <= {"2.0"}
    answers = [message.content for message in house.sent if message.name == "PUT quotes"]
    assert {ilp.parse_packet(answer["ilpPacket"]).version for answer in answers} <= {4}


def test_a_quote_is_fulfilled_with_the_secret_that_it_was_answered_with(tenants, secrets, request_to_pay):
    house = House(dict(tenants), secrets)
    house.weather["POST transfers"] = ["drop"]  # it is sent again, after the secret was replaced
    house.pay(request_to_pay)
    newer = [secrets.seal("another secret", "ilp:lion"), *tenants["lion"].ilp_secrets_sealed]
    house.tenants["lion"] = msgspec.structs.replace(tenants["lion"], ilp_secrets_sealed=newer)
    house.wait(11)
    assert_completed(house)


def test_a_quote_is_told_again_as_it_was_after_the_secret_was_replaced(tenants, secrets, request_to_pay):
    """Whether the first answer was lost with the engine, or is asked for once more."""
    house = House(dict(tenants), secrets)
    answer = ("lion", "mojaloop-answer-quote")
    rehearsal = House(dict(tenants), secrets)
    rehearsal.pay(request_to_pay)
    house.crashes.add(rehearsal.jobs.index(answer))
    house.weather["PUT quotes"] = ["drop"]
    deliver = house.switch.take

    def replacing(message):
        if message.name == "PUT quotes":
            newer = [secrets.seal("another secret", "ilp:lion"), *tenants["lion"].ilp_secrets_sealed]
            house.tenants["lion"] = msgspec.structs.replace(tenants["lion"], ilp_secrets_sealed=newer)
        return deliver(message)

    house.switch.take = replacing
    house.pay(request_to_pay)
    first, second = (message.body for message in house.sent if message.name == "PUT quotes")
    assert first == second


def test_what_is_sent_again_in_iso_20022_is_the_same_to_the_byte(tenants, secrets, request_to_pay):
    """The time in its header is of the payment, not of the moment."""
    speaking = {
        fsp: msgspec.structs.replace(
            tenant, scheme=msgspec.structs.replace(tenant.scheme, versions=("2.0",), iso20022=True)
        )
        for fsp, tenant in tenants.items()
    }
    house = House(speaking, secrets)
    house.weather["POST quotes"] = ["down"]
    house.weather["POST transfers"] = ["down", "drop"]
    house.pay(request_to_pay)
    house.wait(2)
    for name in ("POST quotes", "POST transfers"):
        sent = [message for message in house.sent if message.name == name]
        assert (len(sent), len({message.body for message in sent})) == (2, 1)
    asked = next(message for message in house.sent if message.name == "POST quotes")
    before = len(house.sent)
    house.switch.forward("lion", asked)
    house.settle()
    (again,) = house.sent[before:]
    assert again.body == next(message.body for message in house.sent if message.name == "PUT quotes")
