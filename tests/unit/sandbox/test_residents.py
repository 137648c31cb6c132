"""The test DFSP and the currency provider in both roles, through the switch, without sockets."""

import json
from collections import deque

import pytest

from payhub_platform.errors import InvalidInputError, NotFoundError
from payhub_sandbox.residents.bulk_payer import BulkOrder
from payhub_sandbox.residents.counterparty import Counterparty
from payhub_sandbox.residents.member import CURRENCIES, OPENING_MINOR
from payhub_sandbox.residents.payee import OTP
from payhub_sandbox.residents.payer import Order
from payhub_sandbox.residents.provider import Provider
from payhub_sandbox.switch.hub import Hub
from payhub_sandbox.switch.participants import Registration
from payhub_sandbox.switch.signature import check_signature

AMINA, BRIAN = "MSISDN/254711000001", "MSISDN/254711000002"
TESTER = "MSISDN/254700900001"


class Scheme:
    """A switch with two test DFSPs and the provider; ``run`` delivers until nobody has more to say."""

    def __init__(self, clock, key_pems):
        self.clock = clock
        self.hub = Hub(key_pems["switch"], clock)
        self.tested = Counterparty(key_pems["buffalo"], clock, "buffalo", "25471100")
        self.testbank = Counterparty(key_pems["rhino"], clock)
        self.provider = Provider(key_pems["lion"], clock)
        self.residents = {one.fsp_id: one for one in (self.tested, self.testbank, self.provider)}
        self.said = []
        for resident in self.residents.values():
            for currency in CURRENCIES:
                self.hub.context.participants.register(
                    Registration(
                        fsp_id=resident.fsp_id,
                        currency=currency,
                        callback_urls=["http://x"],
                        public_key_pem=resident.speaker.public_key_pem,
                        net_debit_cap="100000",
                    )
                )
        self.run([*self.tested.registrations(), *self.testbank.registrations()])
        self.said.clear()

    def run(self, messages, alter=lambda message: message):
        waiting = deque(messages)
        while waiting:
            for out in self.hub.receive(waiting.popleft()):
                self._check(out)
                self.said.append((out.destination, out.method, out.path.split("/")[1]))
                altered = alter(out)
                if altered is not None:
                    waiting.extend(self.residents[out.destination].receive(altered))

    def order(self, **fields):
        defaults = {"party_id": "254700900001", "amount": "25", "member": AMINA}
        payment, messages = self.tested.payer.order(Order(**defaults | fields))
        return payment, messages

    def _check(self, out):
        if not out.body:
            return
        headers = {name.lower(): value for name, value in out.headers.items()}
        source = headers["fspiop-source"]
        if source != "switch":
            key = self.hub.context.participants.get(source).public_key
            check_signature(headers, out.body, out.path, out.method, key)

    def balance(self, dfsp, key, currency="KES"):
        member = dfsp.members[key]
        return member.balances[currency] - OPENING_MINOR, member.held.get(currency, 0)

    def position(self, fsp, currency="KES"):
        position = self.hub.context.participants.position(fsp, currency)
        return position.position, position.reserved


@pytest.fixture
def scheme(clock, key_pems):
    return Scheme(clock, key_pems)


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0"])
def test_it_is_paid_and_pays_in_every_version(scheme, version):
    payment, messages = scheme.order(version=version)
    scheme.run(messages)
    assert (payment.state, payment.peer) == ("COMMITTED", "testbank")
    assert scheme.balance(scheme.tested, AMINA) == (-2_500, 0)
    assert scheme.balance(scheme.testbank, TESTER) == (2_500, 0)
    assert (scheme.position("buffalo"), scheme.position("testbank")) == ((2_500, 0), (-2_500, 0))
    back, messages = scheme.testbank.payer.order(Order(party_id="254711000001", amount="10.5"))
    scheme.run(messages)
    assert back.state == "COMMITTED"
    assert scheme.position("testbank") == (-1_450, 0)


@pytest.mark.parametrize("otp", [False, True])
def test_it_asks_to_be_paid(scheme, otp):
    payment, messages = scheme.order(kind="request-to-pay", otp=otp)
    scheme.run(messages)
    assert payment.state == "REQUESTED"
    [asked] = scheme.testbank.payer.payments()
    assert (asked.kind, asked.state) == ("asked-to-pay", "COMMITTED")
    assert ("authorizations" in [resource for _, _, resource in scheme.said]) is otp
    assert scheme.balance(scheme.tested, AMINA) == (2_500, 0)
    assert scheme.position("testbank") == (2_500, 0)


def test_a_wrong_otp_pays_nothing_and_rejects_the_request(scheme):
    def alter(message):
        if message.method == "PUT" and message.path.startswith("/authorizations"):
            body = message.body.replace(OTP.encode(), b"9999")
            return type(message)(
                destination=message.destination,
                method=message.method,
                path=message.path,
                headers=message.headers,
                body=body,
                lane=0,
            )
        return message

    payment, messages = scheme.order(kind="request-to-pay", otp=True)
    scheme.run(messages, alter)
    assert (payment.state, payment.error_code) == ("REFUSED", "4101")
    assert scheme.testbank.payer.payments()[0].error_code == "4100"
    assert scheme.position("testbank") == (0, 0)


def test_who_cannot_pay_is_not_asked_twice(scheme):
    payment, messages = scheme.order(amount="10000.01")
    scheme.run(messages)
    assert (payment.state, payment.error_code) == ("REFUSED", "4200")
    rejected, messages = scheme.order(kind="request-to-pay", amount="10000.01")
    scheme.run(messages)
    assert (rejected.state, rejected.error_code) == ("REFUSED", "4101")
    assert scheme.balance(scheme.tested, AMINA) == (0, 0)


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"party_id": "254700900009"}, "3204"), ({"currency": "EUR", "amount": "1"}, "5106")],
)
def test_what_the_other_side_refuses_ends_a_payment(scheme, fields, code):
    payment, messages = scheme.order(**fields)
    scheme.run(messages)
    assert (payment.state, payment.error_code) == ("REFUSED", code)


def test_a_cap_ends_a_payment_and_gives_the_hold_back(scheme):
    scheme.hub.context.participants.position("buffalo", "KES").net_debit_cap = 2_499
    payment, messages = scheme.order()
    scheme.run(messages)
    assert (payment.state, payment.error_code) == ("REFUSED", "4001")
    assert scheme.balance(scheme.tested, AMINA) == (0, 0)


def test_a_lost_answer_is_asked_for(scheme):
    payment, messages = scheme.order()
    scheme.run(
        messages,
        lambda one: None if (one.method, one.path.split("/")[1]) == ("PUT", "transfers") else one,
    )
    assert (payment.state, scheme.balance(scheme.tested, AMINA)) == ("TRANSFERRING", (0, 2_500))
    scheme.run(scheme.tested.payer.ask(payment.payment_id))
    assert (payment.state, scheme.balance(scheme.tested, AMINA)) == ("COMMITTED", (-2_500, 0))
    assert scheme.tested.payer.ask(payment.payment_id) == []


def test_everything_delivered_twice_pays_once(scheme):
    payment, messages = scheme.order()
    waiting = deque([*messages, *messages])
    while waiting:
        for out in scheme.hub.receive(waiting.popleft()):
            for _ in range(2):
                waiting.extend(scheme.residents[out.destination].receive(out))
    assert payment.state == "COMMITTED"
    assert scheme.balance(scheme.tested, AMINA) == (-2_500, 0)
    assert scheme.balance(scheme.testbank, TESTER) == (2_500, 0)


def test_tills_aliases_and_queries(scheme):
    payment, messages = scheme.order(party_type="BUSINESS", party_id="testbank-shop", sub_id="till-1")
    scheme.run(messages)
    assert payment.state == "COMMITTED"
    alias, messages = scheme.order(party_type="ALIAS", party_id="testbank-payee")
    scheme.run(messages)
    assert alias.state == "COMMITTED"
    line = payment.line
    for key, told in ((payment.quote_id, "quotes"), (alias.transfer_id, "quotes")):
        scheme.said.clear()
        scheme.run([scheme.tested.speaker.say(line, "GET", f"/quotes/{key}")])
        assert scheme.said[-1] == ("buffalo", "PUT", told)


def test_a_bulk_is_quoted_and_transferred(scheme):
    speaker, line = scheme.tested.speaker, scheme.order()[0].line
    line = type(line)(to="testbank")
    ids = [f"{number}1111111-1111-4111-8111-111111111111" for number in range(5)]
    kind = {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "BUSINESS"}

    def party(number):
        return {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": number}}

    quotes = [
        {
            "quoteId": key,
            "transactionId": key,
            "payee": party(number),
            "amountType": "SEND",
            "amount": {"currency": "KES", "amount": "3"},
            "transactionType": kind,
        }
        for key, number in zip(ids, ("254700900001", "254700900009", "254700900003"), strict=False)
    ]
    request = {"bulkQuoteId": ids[3], "payer": party("254711000001"), "individualQuotes": quotes}
    [forwarded] = scheme.hub.receive(speaker.say(line, "POST", "/bulkQuotes", request))
    [answer] = scheme.testbank.receive(forwarded)
    rows = json.loads(answer.body)["individualQuoteResults"]
    assert ["condition" in row for row in rows] == [True, False, True]
    transfers = [
        {
            "transferId": row["quoteId"],
            **{name: row[name] for name in ("transferAmount", "ilpPacket", "condition")},
        }
        for row in rows
        if "condition" in row
    ]
    prepare = {
        "bulkTransferId": ids[4],
        "bulkQuoteId": ids[3],
        "payerFsp": "buffalo",
        "payeeFsp": "testbank",
        "individualTransfers": transfers,
        "expiration": json.loads(answer.body)["expiration"],
    }
    scheme.run([speaker.say(line, "POST", "/bulkTransfers", prepare)])
    assert scheme.position("buffalo") == (600, 0)
    assert scheme.balance(scheme.testbank, TESTER) == (300, 0)
    scheme.said.clear()
    scheme.run([speaker.say(line, "GET", f"/bulkQuotes/{ids[3]}")])
    assert scheme.said[-1] == ("buffalo", "PUT", "bulkQuotes")


def test_a_payment_with_conversion(scheme):
    """Quoted by the provider, reserved, and committed with the transfer in the target currency."""
    payment, messages = scheme.order(currency="TZS", amount="500", version="2.0")
    speaker = scheme.tested.speaker
    line = type(payment.line)(to="fxp", version="2.0")
    terms = {
        "conversionId": payment.payment_id,
        "determiningTransferId": payment.transfer_id,
        "initiatingFsp": "buffalo",
        "counterPartyFsp": "fxp",
        "amountType": "RECEIVE",
        "sourceAmount": {"currency": "KES"},
        "targetAmount": {"currency": "TZS", "amount": "500"},
        "expiration": "2026-09-21T16:00:00.000Z",
    }
    quote = {"conversionRequestId": payment.quote_id, "conversionTerms": terms}
    [forwarded] = scheme.hub.receive(speaker.say(line, "POST", "/fxQuotes", quote))
    [answer] = scheme.provider.receive(forwarded)
    body = json.loads(answer.body)
    assert body["conversionTerms"]["sourceAmount"] == {"currency": "KES", "amount": "25"}
    prepare = {
        "commitRequestId": payment.payment_id,
        "condition": body["condition"],
        **{
            name: body["conversionTerms"][name]
            for name in (
                "determiningTransferId",
                "initiatingFsp",
                "counterPartyFsp",
                "sourceAmount",
                "targetAmount",
                "expiration",
            )
        },
    }
    scheme.run([speaker.say(line, "POST", "/fxTransfers", prepare)])
    scheme.run(messages)
    assert payment.state == "COMMITTED"
    assert (scheme.position("buffalo"), scheme.position("fxp")) == ((2_500, 0), (-2_500, 0))
    assert (scheme.position("fxp", "TZS"), scheme.position("testbank", "TZS")) == ((50_000, 0), (-50_000, 0))
    assert scheme.position("buffalo", "TZS") == (0, 0)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"member": "MSISDN/1"}, NotFoundError),
        ({"party_type": "PHONE"}, InvalidInputError),
        ({"amount": "0"}, InvalidInputError),
        ({"amount": "x"}, InvalidInputError),
    ],
)
def test_orders_that_are_refused(scheme, fields, error):
    with pytest.raises(error):
        scheme.order(**fields)
    with pytest.raises(NotFoundError):
        scheme.tested.payer.ask("nothing")
    assert scheme.tested.payer.payments() == []


def test_requests_and_transactions_are_told_again(scheme):
    def ask(line, path):
        [forwarded] = scheme.hub.receive(scheme.tested.speaker.say(line, "GET", path))
        [answer] = scheme.testbank.receive(forwarded)
        scheme.hub.receive(answer)
        return json.loads(answer.body)

    accepted, messages = scheme.order(kind="request-to-pay")
    scheme.run(messages)
    rejected, messages = scheme.order(kind="request-to-pay", amount="10000.01")
    scheme.run(messages)
    states = [
        ask(one.line, f"/transactionRequests/{one.request_id}")["transactionRequestState"]
        for one in (accepted, rejected)
    ]
    assert states == ["ACCEPTED", "REJECTED"]
    paid, messages = scheme.order()
    scheme.run(messages)
    assert ask(paid.line, f"/transactions/{paid.transaction_id}") == {"transactionState": "COMPLETED"}
    for path, code in ((f"/transactions/{paid.quote_id}", "3207"),):
        assert ask(paid.line, path)["errorInformation"]["errorCode"] == code
    again = scheme.tested.payer._request(accepted)  # delivered once more, after everything
    scheme.run([again])
    assert len(scheme.testbank.payer.payments()) == 1


def bulk(scheme, amount="3", msisdns=("254700900001", "254700900009", "254700900003")):
    order = BulkOrder(msisdns=list(msisdns), amount=amount, member=AMINA)
    return scheme.tested.bulk_payer.order(order)


def test_it_sends_bulks_and_pays_what_was_quoted_and_fulfilled(scheme):
    sent, messages = bulk(scheme)
    scheme.run(messages)
    assert sent.state == "COMPLETED"
    assert [(one.paid, one.error_code) for one in sent.shares] == [(True, ""), (False, "3204"), (True, "")]
    assert scheme.balance(scheme.tested, AMINA) == (-600, 0)
    assert scheme.balance(scheme.testbank, TESTER) == (300, 0)
    assert scheme.position("buffalo") == (600, 0)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"msisdns": ("254700900009",)}, "3204"),
        ({"amount": "6000"}, "4200"),
        ({"msisdns": ("254700900001", "254700900009"), "amount": "200"}, "4001"),
    ],
)
def test_a_bulk_that_is_refused_holds_nothing(scheme, fields, code):
    scheme.hub.context.participants.position("buffalo", "KES").net_debit_cap = 10_000
    sent, messages = bulk(scheme, **fields)
    scheme.run(messages)
    assert (sent.state, sent.error_code) == ("REFUSED", code)
    assert scheme.balance(scheme.tested, AMINA) == (0, 0)
    assert scheme.position("buffalo") == (0, 0)


def test_a_bulk_that_is_answered_twice_is_paid_once(scheme):
    sent, messages = bulk(scheme)
    waiting = deque([*messages, *messages])
    while waiting:
        for out in scheme.hub.receive(waiting.popleft()):
            for _ in range(2):
                waiting.extend(scheme.residents[out.destination].receive(out))
    assert (sent.state, scheme.balance(scheme.tested, AMINA)) == ("COMPLETED", (-600, 0))
    assert scheme.balance(scheme.testbank, TESTER) == (300, 0)


def test_bulks_that_are_not_possible(scheme):
    for order, error in (
        (BulkOrder(msisdns=["1"], amount="0", member=AMINA), InvalidInputError),
        (BulkOrder(msisdns=["1"], amount="1", member="MSISDN/1"), NotFoundError),
    ):
        with pytest.raises(error):
            scheme.tested.bulk_payer.order(order)
    assert scheme.tested.bulk_payer.bulks() == []


def test_what_a_late_bulk_was_credited_is_taken_back(scheme):
    def alter(message):
        if (message.method, message.path) == ("POST", "/bulkTransfers"):
            scheme.clock.now_ms += 31_000  # the results come after the bulk has expired
        return message

    sent, messages = bulk(scheme)
    scheme.run(messages, alter)
    assert (sent.state, sent.error_code) == ("REFUSED", "3303")
    assert scheme.balance(scheme.testbank, TESTER) == (0, 0)
    assert (scheme.balance(scheme.tested, AMINA), scheme.position("buffalo")) == ((0, 0), (0, 0))


def test_what_the_switch_does_not_take_ends_the_payment(scheme):
    for order in (scheme.order, lambda: bulk(scheme)):
        payment, [looked_up] = order()
        scheme.tested.refused(looked_up, "3100")
        assert (payment.state, payment.error_code) == ("REFUSED", "3100")
    payment, messages = scheme.order()
    scheme.run(messages, lambda one: None if one.path.startswith("/quotes/") else one)
    assert payment.state == "QUOTING"
    request = scheme.tested.speaker.say(payment.line, "POST", "/quotes", {"quoteId": payment.quote_id})
    scheme.tested.refused(request, "2003")
    assert (payment.state, payment.error_code) == ("REFUSED", "2003")
    scheme.provider.refused(request, "2003")
