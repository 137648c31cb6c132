"""Whatever DFSPs send and however messages travel, the switch's books add up."""

import base64
import heapq
import itertools
import json
import random
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payhub_platform.clock import iso
from payhub_platform.security.jws import public_pem
from payhub_sandbox.residents.counterparty import Counterparty
from payhub_sandbox.residents.member import CURRENCIES, OPENING_MINOR
from payhub_sandbox.residents.payer import Order
from payhub_sandbox.switch.climate import Climate, Forecast
from payhub_sandbox.switch.condition import condition_of, unpadded
from payhub_sandbox.switch.forced import TABLE
from payhub_sandbox.switch.hub import Hub
from payhub_sandbox.switch.participants import Limit, Registration
from payhub_sandbox.switch.refusal import FspiopRefusalError

FSPS = ("buffalo", "rhino", "lion")
IDS = [f"{number:02d}111111-1111-4111-8111-111111111111" for number in range(16)]
BULK_IDS = [f"{number:02d}222222-2222-4222-8222-222222222222" for number in range(4)]
FX_IDS = [f"{number:02d}333333-3333-4333-8333-333333333333" for number in range(8)]
SECRETS = {key: key.encode()[:32] for key in (*IDS, *BULK_IDS, *FX_IDS)}
AMOUNTS = ("1", "70", "400")
STATES = ("COMMITTED", "ABORTED")
STEPS = 80
WITHOUT_LIMIT = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


class Author:
    """Thinks of what could be sent next: mostly what fits the books, at times anything at all."""

    def __init__(self, seed, hub):
        self._random = random.Random(seed)
        self._hub = hub

    def next(self):
        kinds = {
            self._prepare: 5,
            self._answer: 9,
            self._bulk: 2,
            self._convert: 3,
            self._operate: 3,
            self._wild: 2,
        }
        return self._random.choices(list(kinds), list(kinds.values()))[0]()

    def _one(self, choices):
        return self._random.choice(list(choices))

    def _often(self):
        return self._random.random() < 0.8

    def _two(self):
        return self._random.sample(FSPS, 2)

    def _prepare(self):
        ready = [
            one
            for one in self._hub.conversions.book.all()
            if one.ready and one.determining_transfer_id and not self._known(one.determining_transfer_id)
        ]
        if ready and self._often():
            one = self._one(ready)
            payee = self._one(fsp for fsp in FSPS if fsp != one.payer_fsp)
            amount = str(one.target_amount.minor // 100)
            return "prepare", one.determining_transfer_id, one.payer_fsp, payee, amount, "TZS"
        currency = "KES" if self._often() else "TZS"
        return "prepare", self._one(IDS), *self._two(), self._one(AMOUNTS), currency

    def _answer(self):
        books = [*self._hub.clearing.book.all(), *self._hub.conversions.book.all()]
        open_ones = [one for one in books if one.state == "RESERVED"]
        if not books:
            return self._prepare()
        one = self._one(open_ones if open_ones and self._often() else books)
        who = one.payee_fsp if self._often() else self._one(FSPS)
        right = self._often()
        sure, state = self._often(), self._one(["RESERVED", "COMMITTED"])
        if one.bulk_id:
            together = [other.transfer_id for other in books if other.bulk_id == one.bulk_id]
            outcomes = [(key, self._often()) for key in together if self._often()]
            state = self._one(["COMPLETED", "COMPLETED", "REJECTED", "PROCESSING"])
            given, failed = (
                ("bulk_result", one.bulk_id, who, outcomes, state),
                ("bulk_fail", one.bulk_id, who),
            )
        elif one.transfer_id in FX_IDS:
            given, failed = ("converted", one.transfer_id, who, right), ("unconverted", one.transfer_id, who)
        else:
            given = ("fulfil", one.transfer_id, who, one.payer_fsp, right, state)
            failed = ("fail", one.transfer_id, who, one.payer_fsp)
        return given if sure else failed

    def _bulk(self):
        transfers = self._random.sample(IDS, self._random.randint(1, 3))
        return "bulk", self._one(BULK_IDS), *self._two(), transfers, self._one(AMOUNTS)

    def _convert(self):
        transfer_id = self._one(IDS) if self._often() else None
        return "convert", self._one(FX_IDS), *self._two(), transfer_id, self._one(AMOUNTS)

    def _operate(self):
        cap = self._one(["0", "100", "1000", "1000", "1000"])
        operations = [
            ("advance", self._one([1, 1_000, 5_000, 31_000])),
            ("close",),
            ("settle", self._random.randint(1, 4)),
            ("limit", self._one(FSPS), self._one(["KES", "TZS"]), cap, self._often()),
        ]
        return self._one(operations)

    def _wild(self):
        operations = [
            ("fulfil", self._one(IDS), *self._two(), self._often(), "COMMITTED"),
            ("fail", self._one(IDS), *self._two()),
            ("bulk_result", self._one(BULK_IDS), self._one(FSPS), [(self._one(IDS), True)], "COMPLETED"),
            ("bulk_fail", self._one(BULK_IDS), self._one(FSPS)),
            ("converted", self._one(FX_IDS), self._one(FSPS), self._often()),
            ("unconverted", self._one(FX_IDS), self._one(FSPS)),
        ]
        return self._one(operations)

    def _known(self, transfer_id):
        return self._hub.clearing.book.get(transfer_id) is not None


class Messages:
    """Writes each operation as the message of a DFSP, right or wrong."""

    def __init__(self, dfsps, clock):
        self._dfsps, self._clock = dfsps, clock

    def prepare(self, key, payer, payee, amount, currency):
        body = json.loads(self._dfsps[payer].prepare(payee=payee, transfer_id=key).body)
        body |= {"amount": {"currency": currency, "amount": amount}, "condition": self._condition(key)}
        return self._dfsps[payer].message("POST", "/transfers", body, to=payee)

    def fulfil(self, key, payee, payer, right, state):
        body = {"fulfilment": self._fulfilment(key, right), "transferState": state}
        return self._dfsps[payee].message("PUT", f"/transfers/{key}", body, to=payer)

    def fail(self, key, payee, payer):
        return self._error(payee, f"/transfers/{key}", payer)

    def bulk(self, key, payer, payee, transfers, amount):
        rows = [
            {
                "transferId": one,
                "transferAmount": {"currency": "KES", "amount": amount},
                "ilpPacket": "AYIB",
                "condition": self._condition(one),
            }
            for one in transfers
        ]
        body = {
            "bulkTransferId": key,
            "bulkQuoteId": key,
            "payerFsp": payer,
            "payeeFsp": payee,
            "individualTransfers": rows,
            "expiration": iso(self._clock() + 30_000),
        }
        return self._dfsps[payer].message("POST", "/bulkTransfers", body, to=payee)

    def bulk_result(self, key, payee, outcomes, state):
        rows = [{"transferId": one, "fulfilment": self._fulfilment(one, right)} for one, right in outcomes]
        body = {"bulkTransferState": state, "individualTransferResults": rows}
        return self._dfsps[payee].message("PUT", f"/bulkTransfers/{key}", body, to="buffalo")

    def bulk_fail(self, key, payee):
        return self._error(payee, f"/bulkTransfers/{key}", "buffalo")

    def convert(self, key, payer, provider, transfer_id, amount):
        body = {
            "commitRequestId": key,
            "initiatingFsp": payer,
            "counterPartyFsp": provider,
            "sourceAmount": {"currency": "KES", "amount": "7"},
            "targetAmount": {"currency": "TZS", "amount": amount},
            "condition": self._condition(key),
            "expiration": iso(self._clock() + 20_000),
        }
        if transfer_id is not None:
            body["determiningTransferId"] = transfer_id
        return self._dfsps[payer].message("POST", "/fxTransfers", body, to=provider, version="2.0")

    def converted(self, key, provider, right):
        body = {"fulfilment": self._fulfilment(key, right), "conversionState": "RESERVED"}
        return self._dfsps[provider].message("PUT", f"/fxTransfers/{key}", body, to="buffalo", version="2.0")

    def unconverted(self, key, provider):
        return self._error(provider, f"/fxTransfers/{key}", "buffalo", version="2.0")

    def _error(self, sender, path, to, **more):
        body = {"errorInformation": {"errorCode": "5105", "errorDescription": "no"}}
        return self._dfsps[sender].message("PUT", path + "/error", body, to=to, **more)

    @staticmethod
    def _condition(key):
        return condition_of(SECRETS[key])

    @staticmethod
    def _fulfilment(key, right):
        return unpadded(SECRETS[key] if right else b"w" * 32)


class Auditor:
    """Keeps its own account of what the books may do, from the states that they show."""

    def __init__(self, hub):
        self._hub = hub
        self._final = {}
        self._settled = Counter()

    def check(self):
        books = [*self._hub.clearing.book.all(), *self._hub.conversions.book.all()]
        owed, reserved = Counter(), Counter()
        for one in books:
            known = self._final.setdefault((type(one), one.transfer_id), one.state)
            assert known in ("RESERVED", one.state), "a final state never changes"
            self._final[type(one), one.transfer_id] = one.state
            currency = one.amount.currency
            if one.state == "COMMITTED":
                assert condition_of(_decoded(one.fulfilment)) == one.condition
                owed[one.debtor, currency] += one.amount.minor
                owed[one.payee_fsp, currency] -= one.amount.minor
            elif one.state == "RESERVED":
                reserved[one.debtor, currency] += one.amount.minor
        totals = Counter()
        for participant in self._hub.context.participants.all():
            for currency, position in participant.positions.items():
                key = (participant.fsp_id, currency)
                assert position.position + position.settled == owed[key]
                assert position.position == self._hub.windows.unsettled().get(key, 0)
                assert position.reserved == reserved[key] >= 0
                totals[currency] += position.position
        assert set(totals.values()) <= {0}
        assert sum(one.transfers for one in self._hub.windows.all()) == sum(
            one.state == "COMMITTED" for one in books
        )


def _decoded(fulfilment):
    return base64.urlsafe_b64decode(fulfilment + "=")


def new_hub(key_pems, clock):
    hub = Hub(key_pems["switch"], clock)
    for fsp, currency in itertools.product(FSPS, ("KES", "TZS")):
        hub.context.participants.register(
            Registration(
                fsp_id=fsp,
                currency=currency,
                callback_urls=["http://x"],
                public_key_pem=public_pem(key_pems[fsp]),
                net_debit_cap="1000",
            )
        )
    return hub


def act(hub, messages, clock, operation):
    """Do one operation; a refusal is an answer like any other."""
    name, *fields = operation
    try:
        if name == "advance":
            clock.now_ms += fields[0]
            hub.expire()
        elif name == "close":
            hub.windows.close(hub.windows.open.number, clock())
        elif name == "settle":
            window = {one.number: one for one in hub.windows.all()}.get(fields[0])
            if window is not None and window.state != "OPEN":
                hub.windows.settle(fields[0], clock())
        elif name == "limit":
            fsp, currency, cap, active = fields
            limit = Limit(fsp_id=fsp, currency=currency, net_debit_cap=cap, active=active)
            hub.context.participants.limit(limit)
        else:
            hub.receive(getattr(messages, name)(*fields))
    except FspiopRefusalError:
        pass


def run_story(seed, key_pems, clock, dfsps):
    """Run one story, check the books after each step, and return the hub with all time passed."""
    hub = new_hub(key_pems, clock)
    author, messages, auditor = Author(seed, hub), Messages(dfsps, clock), Auditor(hub)
    for _ in range(STEPS):
        act(hub, messages, clock, author.next())
        auditor.check()
    clock.now_ms += 200_000
    for _ in range(3):  # a conversion is put off once, to the end of its transfer
        hub.expire()
        clock.now_ms += 100_000
    auditor.check()
    return hub


@given(seed=st.integers(0, 2**32))
@settings(max_examples=80, **WITHOUT_LIMIT)
def test_positions_add_up_and_each_transfer_ends_once(seed, key_pems, clock, buffalo, rhino, lion):
    hub = run_story(seed, key_pems, clock, {"buffalo": buffalo, "rhino": rhino, "lion": lion})
    assert all(
        position.reserved == 0
        for one in hub.context.participants.all()
        for position in one.positions.values()
    )


def test_the_stories_reach_every_end(key_pems, clock, buffalo, rhino, lion):
    """Otherwise the test above would pass because nothing happens in it."""
    ends = Counter()
    for seed in range(12):
        hub = run_story(seed, key_pems, clock, {"buffalo": buffalo, "rhino": rhino, "lion": lion})
        for one in hub.clearing.book.all():
            kind = "bulk" if one.bulk_id else "converted" if one.debtor != one.payer_fsp else "plain"
            ends[kind, one.state] += 1
        ends.update(("conversion", one.state) for one in hub.conversions.book.all())
        ends.update(("window", one.state) for one in hub.windows.all())
    kinds = {(kind, state) for kind in ("plain", "bulk", "converted", "conversion") for state in STATES}
    assert kinds | {("window", state) for state in ("OPEN", "CLOSED", "SETTLED")} == set(ends), ends


class Weathered:
    """Two DFSPs pay each other through a switch under a climate, in virtual time."""

    def __init__(self, key_pems, clock, climate, *, forced_cases):
        self.clock = clock
        self.hub = Hub(key_pems["switch"], clock, forced_cases=forced_cases)
        self.forecast = Forecast(climate)
        self.dfsps = {
            "buffalo": Counterparty(key_pems["buffalo"], clock, "buffalo", "25471100"),
            "rhino": Counterparty(key_pems["rhino"], clock, "rhino", "25472200"),
        }
        self.auditor = Auditor(self.hub)
        self._travelling = []
        self._number = itertools.count()
        for dfsp in self.dfsps.values():
            for currency in CURRENCIES:
                self.hub.context.participants.register(
                    Registration(
                        fsp_id=dfsp.fsp_id,
                        currency=currency,
                        callback_urls=["http://x"],
                        public_key_pem=dfsp.speaker.public_key_pem,
                        net_debit_cap="600",
                    )
                )
            for message in dfsp.registrations():
                self.hub.receive(message)

    def order(self, payer, kind, whole):
        other = "25472200" if payer == "buffalo" else "25471100"
        member = f"MSISDN/{'25471100' if payer == 'buffalo' else '25472200'}0002"
        order = Order(kind=kind, party_id=f"{other}0001", amount=str(whole), member=member)
        _, messages = self.dfsps[payer].payer.order(order)
        self.send(messages)

    def send(self, messages):
        for message in messages:
            try:
                self.post(self.hub.receive(message))
            except FspiopRefusalError as refusal:
                self.dfsps[message.source].refused(message, refusal.error_code)
                continue
            self.auditor.check()

    def post(self, messages):
        for message in self.forecast.deliveries(messages):
            for _ in range(message.copies):
                heapq.heappush(
                    self._travelling, (self.clock() + message.delay_ms, next(self._number), message)
                )

    def run(self, until_ms):
        while self._travelling and self._travelling[0][0] <= until_ms:
            at_ms, _, message = heapq.heappop(self._travelling)
            self.clock.now_ms = max(self.clock.now_ms, at_ms)
            self.post(self.hub.expire())
            self.send(self.dfsps[message.destination].receive(message))
        self.clock.now_ms = max(self.clock.now_ms, until_ms)
        self.post(self.hub.expire())
        self.auditor.check()

    def clear_up(self):
        """Fair weather: everything arrives, and what is open is asked for."""
        self.forecast.climate = Climate()
        self.hub.context.forced.enabled = False
        for _ in range(2):
            self.run(self.clock() + 200_000)
            for dfsp in self.dfsps.values():
                for payment in dfsp.payer.payments():
                    self.send(dfsp.payer.ask(payment.payment_id))
        self.run(self.clock() + 1_000)


orders = st.tuples(
    st.sampled_from(["buffalo", "rhino"]),
    st.sampled_from(["transfer", "request-to-pay"]),
    st.one_of(st.integers(1, 300), st.sampled_from([int(row.amount) for row in TABLE if row.amount])),
    st.integers(0, 40_000),
)
climates = st.builds(
    Climate,
    seed=st.integers(0, 1_000),
    latency_ms_max=st.integers(0, 2_000),
    loss_percent=st.integers(0, 30),
    duplicate_percent=st.integers(0, 50),
    reorder_percent=st.integers(0, 50),
    late_percent=st.integers(0, 20),
)


@given(climate=climates, planned=st.lists(orders, min_size=1, max_size=8), forced=st.booleans())
@settings(max_examples=60, **WITHOUT_LIMIT)
def test_in_any_weather_what_members_pay_is_what_the_switch_committed(
    climate, planned, forced, key_pems, clock
):
    world = Weathered(key_pems, clock, climate, forced_cases=forced)
    for payer, kind, whole, pause_ms in planned:
        world.order(payer, kind, whole)
        world.run(clock() + pause_ms)
    world.clear_up()
    book = {one.transfer_id: one for one in world.hub.clearing.book.all()}
    for name, dfsp in world.dfsps.items():
        paid = Counter()
        for payment in dfsp.payer.payments():
            transfer = book.get(payment.transfer_id)
            committed = transfer is not None and transfer.state == "COMMITTED"
            # A payer that was lied to by a forced error has given up; everybody else knows the truth.
            if payment.state == "COMMITTED":
                assert committed
                paid[payment.member.key] += payment.transfer_amount.minor
            assert payment.state != "TRANSFERRING" or transfer is None
        credited = Counter()
        for transfer_id, credit in dfsp.payee.credits().items():
            if credit.state == "COMMITTED":
                assert book[transfer_id].state == "COMMITTED"
                credited[credit.member.key] += credit.amount.minor
        for key, member in dfsp.members.items():
            assert member.balances["KES"] == OPENING_MINOR - paid[key] + credited[key], name
            assert member.held.get("KES", 0) >= 0
