"""Bulks between payhub and the sandbox's test DFSP and switch: neither knows the other's code."""

import json
from decimal import Decimal

import pytest
from unit.engines.connectors.bulk_flows import FIRST, SECOND, SHUT, bulk_house, pay_bulk, told
from unit.engines.connectors.switchboard import Message, Switchboard

from payhub_engines.connectors.http import HttpAnswer
from payhub_platform.security import jws
from payhub_sandbox.residents.bulk_payer import BulkOrder
from payhub_sandbox.residents.counterparty import Counterparty
from payhub_sandbox.residents.member import OPENING_MINOR
from payhub_sandbox.switch.hub import Hub
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.participants import Registration
from payhub_sandbox.switch.refusal import FspiopRefusalError

TESTER, AGENT = "254700900001", "254700900003"
PAYER = "MSISDN/254700900002"
CAP = "100000"


class SandboxSwitch(Switchboard):
    """The sandbox's switch and test DFSP in the place of the tests' own switch.

    ``seen`` is called with every message before it is delivered.
    """

    seen = staticmethod(lambda _message: None)

    def open(self, tenants, members):
        self.hub = Hub(jws.new_private_key_pem(), self.now_ms, forced_cases=True)
        self.testbank = Counterparty(jws.new_private_key_pem(), self.now_ms)
        keys = {fsp: tenant.signing_key.public_key_pem for fsp, tenant in tenants.items()}
        for fsp, key in {**keys, "testbank": self.testbank.speaker.public_key_pem}.items():
            self.hub.context.participants.register(
                Registration(
                    fsp_id=fsp,
                    currency="KES",
                    callback_urls=["http://x"],
                    public_key_pem=key,
                    net_debit_cap=CAP,
                )
            )
        for key, fsp in members.items():
            self.hub.lookup.directory.register(key, fsp)
        for message in self.testbank.registrations():
            self.hub.receive(message)

    def take(self, message: Message) -> HttpAnswer:
        self.sent.append(message)
        path, _, query = message.path.partition("?")
        incoming = Incoming(
            method=message.method, path=path, headers=message.headers, body=message.body, query=query
        )
        try:
            self.pass_on(self.hub.receive(incoming))
        except FspiopRefusalError as error:
            told = {"errorInformation": {"errorCode": error.error_code, "errorDescription": "no"}}
            return HttpAnswer(status=error.http_status, body=json.dumps(told).encode())
        return HttpAnswer(status=202)

    def pass_on(self, messages: list[Outgoing]) -> None:
        for one in messages:
            headers = {name.lower(): value for name, value in one.headers.items()}
            message = Message(one.method, one.path, headers, one.body)
            self.seen(message)
            if one.destination == "testbank":
                for answer in self.testbank.receive(one):
                    self.pass_on(self.hub.receive(answer))
            else:
                at_ms = self.now_ms() + one.delay_ms
                self.waiting += [(at_ms, one.destination, message)] * one.copies

    def due(self):
        self.pass_on(self.hub.expire())
        return super().due()

    def position(self, fsp):
        found = self.hub.context.participants.position(fsp, "KES")
        return found.position, found.reserved


@pytest.fixture
def house(tenants, secrets):
    house = bulk_house(tenants, secrets)
    members = house.switch.numbers
    house.switch = SandboxSwitch(house.switch.scheme, house.switch.now_ms, members, sent=house.sent)
    house.switch.open(tenants, members)
    return house


def run(house):
    for _ in range(12):
        house.run_until_all_ended(limit_s=10)
        house.engine.advance(10)
        house.settle()
        if not house.running():
            return
    raise AssertionError([(one.process, one.active_elements) for one in house.running()])


def balance(house, number):
    member = house.switch.testbank.members[f"MSISDN/{number}"]
    return member.balances["KES"] - OPENING_MINOR, member.held.get("KES", 0)


def account(house, fsp, name):
    return house.banks[fsp].accounts[name]


def test_payhub_pays_the_test_dfsps_members(house):
    pay_bulk(house, (TESTER, 3000), ("254700900009", 100), (AGENT, 2050), (FIRST, 100))
    run(house)
    assert told(house) == ["paid", "3204", "paid", "paid"]
    assert (balance(house, TESTER), balance(house, AGENT)) == ((3000, 0), (2050, 0))
    assert account(house, "buffalo", "A1").balance == Decimal("948.50")
    assert account(house, "buffalo", "A1").held() == 0
    assert house.switch.position("buffalo") == (5150, 0)
    assert (house.switch.position("testbank"), house.switch.position("lion")) == ((-5050, 0), (-100, 0))


def test_the_test_dfsp_pays_payhubs_members(house):
    order = BulkOrder(msisdns=[FIRST, SHUT, SECOND], amount="12.50", member=PAYER)
    sent, messages = house.switch.testbank.bulk_payer.order(order)
    for message in messages:
        house.switch.pass_on(house.switch.hub.receive(message))
    house.settle()
    run(house)
    assert sent.state == "COMPLETED"
    assert [(share.paid, share.error_code) for share in sent.shares] == [
        (True, ""),
        (False, "5400"),
        (True, ""),
    ]
    assert [account(house, "lion", name).balance for name in ("A2", "A5", "A4")] == [
        Decimal("12.5"),
        0,
        Decimal("12.5"),
    ]
    assert (house.switch.position("testbank"), house.switch.position("lion")) == ((2500, 0), (-2500, 0))
    assert balance(house, "254700900002") == (-2500, 0)


# The sandbox's forced cases (docs/sandbox.md): the last three digits of the units of an amount.
FORCED = {
    502: "5101",
    520: "3100",
    522: "2004",
    524: "paid",
    525: "2004",
    526: "paid",
    552: "4001",
    555: "5200",
    570: "3100",
    572: "3303",
    573: "paid",
    574: "paid",
    575: "paid",
    576: "paid",
}


@pytest.mark.parametrize("units", FORCED)
def test_every_outcome_that_the_sandbox_forces_on_a_payer_is_told_as_it_is(house, units):
    pay_bulk(house, (TESTER, units * 100))
    run(house)
    assert told(house) == [FORCED[units]]
    paid = units * 100 if FORCED[units] == "paid" else 0
    assert balance(house, TESTER) == (paid, 0)
    assert account(house, "buffalo", "A1").balance == 1000 - Decimal(paid) / 100
    assert account(house, "buffalo", "A1").held() == 0
    assert house.switch.position("buffalo") == (paid, 0)


def test_a_switch_that_is_busy_is_asked_until_it_takes_or_refuses_the_bulk(house, monkeypatch):
    pay_bulk(house, (TESTER, 57100))
    house.wait(90)
    assert told(house) == ["pending"]
    assert account(house, "buffalo", "A1").held() == 571
    monkeypatch.setattr(house.switch.hub.context.forced, "find", lambda *_where: None)
    run(house)
    assert told(house) == ["3303"]  # by then it has expired
    assert account(house, "buffalo", "A1").held() == 0


@pytest.mark.parametrize("units", [572, 573, 574, 575, 576])
def test_whatever_the_sandbox_forces_on_a_payee_it_is_credited_what_the_scheme_has_committed(house, units):
    order = BulkOrder(msisdns=[FIRST, SECOND], amount=str(units), member=PAYER)
    _, messages = house.switch.testbank.bulk_payer.order(order)
    for message in messages:
        house.switch.pass_on(house.switch.hub.receive(message))
    house.settle()
    run(house)
    position, reserved = house.switch.position("lion")
    assert reserved == 0
    credited = [account(house, "lion", name).balance for name in ("A2", "A4")]
    assert sum(credited) * 100 == -position
    assert credited == ([0, 0] if units == 572 else [units, units])


def test_a_bulk_that_payhub_rejects_is_told_payment_by_payment(house):
    order = BulkOrder(msisdns=[FIRST, SECOND], amount="5", member=PAYER)
    sent, messages = house.switch.testbank.bulk_payer.order(order)

    def shut(message):
        if message.name == "POST bulkTransfers":
            for name in ("A2", "A4"):
                account(house, "lion", name).sub_status = "BLOCK"

    house.switch.seen = shut
    for message in messages:
        house.switch.pass_on(house.switch.hub.receive(message))
    house.settle()
    run(house)
    assert (sent.state, [share.paid for share in sent.shares]) == ("COMPLETED", [False, False])
    bulk = house.switch.hub.bulks._bulks[sent.bulk_id]
    assert [transfer.failure.error_code for transfer in bulk.transfers] == ["5400", "5400"]
    assert house.switch.position("lion") == (0, 0)
    assert balance(house, "254700900002") == (0, 0)
