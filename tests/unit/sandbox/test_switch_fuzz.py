"""Whatever is sent, the switch and the residents refuse it in FSPIOP's words or take it; nothing fails."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.changed_body import changed

from payhub_platform.clock import iso
from payhub_sandbox.residents.counterparty import Counterparty
from payhub_sandbox.residents.member import CURRENCIES
from payhub_sandbox.residents.payer import Order
from payhub_sandbox.residents.provider import Provider
from payhub_sandbox.residents.speaker import Line
from payhub_sandbox.switch.condition import condition_of, unpadded
from payhub_sandbox.switch.hub import Hub
from payhub_sandbox.switch.participants import Registration
from payhub_sandbox.switch.refusal import FspiopRefusalError
from payhub_sandbox.switch.target import SHAPES

KEY = "11111111-1111-4111-8111-111111111111"
KES = {"currency": "KES", "amount": "100"}
KIND = {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"}
PARTY = {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700900001", "fspId": "testbank"}}
SECRET = unpadded(b"s" * 32)
CONDITION = condition_of(b"s" * 32)
LATER = iso(1_790_000_030_000)
ERROR = {"errorInformation": {"errorCode": "5105", "errorDescription": "no"}}
QUOTE = {
    "quoteId": KEY,
    "transactionId": KEY,
    "payee": PARTY,
    "payer": PARTY,
    "amountType": "SEND",
    "amount": KES,
    "transactionType": KIND,
    "expiration": LATER,
}
QUOTED = {"transferAmount": KES, "expiration": LATER, "ilpPacket": "AYIB", "condition": CONDITION}
TERMS = {
    "conversionId": KEY,
    "determiningTransferId": KEY,
    "initiatingFsp": "buffalo",
    "counterPartyFsp": "fxp",
    "amountType": "SEND",
    "sourceAmount": KES,
    "targetAmount": {"currency": "TZS", "amount": "2000"},
    "expiration": LATER,
}
SIDES = {"payerFsp": "buffalo", "payeeFsp": "testbank", "expiration": LATER}
PROOF = {"ilpPacket": "AYIB", "condition": CONDITION}
BODIES = {
    ("participants", "POST"): {"fspId": "buffalo", "currency": "KES"},
    ("parties", "PUT"): {"party": PARTY},
    ("quotes", "POST"): QUOTE,
    ("quotes", "PUT"): QUOTED,
    ("transactionRequests", "POST"): QUOTE
    | {"transactionRequestId": KEY, "payer": PARTY["partyIdInfo"], "authenticationType": "OTP"},
    ("transactionRequests", "PUT"): {"transactionRequestState": "ACCEPTED", "transactionId": KEY},
    ("authorizations", "PUT"): {
        "responseType": "ENTERED",
        "authenticationInfo": {"authentication": "OTP", "authenticationValue": "1234"},
    },
    ("transactions", "PUT"): {"transactionState": "COMPLETED"},
    ("transfers", "POST"): {"transferId": KEY, "amount": KES, **SIDES, **PROOF},
    ("transfers", "PUT"): {"fulfilment": SECRET, "transferState": "RESERVED"},
    ("bulkQuotes", "POST"): {"bulkQuoteId": KEY, "payer": PARTY, "individualQuotes": [QUOTE]},
    ("bulkQuotes", "PUT"): {"expiration": LATER, "individualQuoteResults": [{"quoteId": KEY, **QUOTED}]},
    ("bulkTransfers", "POST"): {
        "bulkTransferId": KEY,
        "bulkQuoteId": KEY,
        "individualTransfers": [{"transferId": KEY, "transferAmount": KES, **PROOF}],
        **SIDES,
    },
    ("bulkTransfers", "PUT"): {
        "bulkTransferState": "COMPLETED",
        "individualTransferResults": [{"transferId": KEY, "fulfilment": SECRET}],
    },
    ("fxQuotes", "POST"): {"conversionRequestId": KEY, "conversionTerms": TERMS},
    ("fxQuotes", "PUT"): {"conversionTerms": TERMS, "condition": CONDITION},
    ("fxTransfers", "POST"): TERMS | {"commitRequestId": KEY, "condition": CONDITION},
    ("fxTransfers", "PUT"): {"fulfilment": SECRET, "conversionState": "RESERVED"},
}
MANY = {"requestId": KEY, "partyList": [PARTY["partyIdInfo"]], "currency": "KES"}
QUERY = "authenticationType=OTP&retriesLeft=1&amount=1&currency=KES"

anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=12),
        st.sampled_from(["", "9999-12-31T23:59:59.999-14:00", "0001-01-01T00:00:00.000+14:00", "2026-02-30"]),
        st.sampled_from(["99999999999999999999", "0.0001", "KES", "XTS", KEY, "x" * 200, "é", "\x00"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value, path=()):
    """Return the path of each value inside a JSON value."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def path_of(resource, count, *, error):
    ids = {0: [], 1: [KEY], 2: ["MSISDN", "254700900001"], 3: ["BUSINESS", "testbank-shop", "till-1"]}[count]
    if resource == "services":
        ids = ["FXP", "KES", "TZS"][:count]
    return "/" + "/".join([resource, *ids, *(["error"] if error else [])])


@pytest.fixture
def new_world(clock, key_pems, buffalo):
    """Makes a scheme for each example; ids that are in use would be refused before anything is read."""
    return lambda: make_world(clock, key_pems, buffalo)


def make_world(clock, key_pems, buffalo):
    hub = Hub(key_pems["switch"], clock)
    residents = (Counterparty(key_pems["rhino"], clock), Provider(key_pems["lion"], clock))
    pems = {one.fsp_id: one.speaker.public_key_pem for one in residents}
    pems["buffalo"] = Counterparty(buffalo.pem, clock, "buffalo").speaker.public_key_pem
    for fsp, pem in pems.items():
        for currency in CURRENCIES:
            hub.context.participants.register(
                Registration(
                    fsp_id=fsp,
                    currency=currency,
                    callback_urls=["http://x"],
                    public_key_pem=pem,
                    net_debit_cap="100000",
                )
            )
    for message in residents[0].registrations():
        hub.receive(message)
    return hub, {one.fsp_id: one for one in residents}


def deliver(world, incoming):
    """Let a message and all that it causes happen; a refusal must be FSPIOP's."""
    hub, residents = world
    waiting, told = [incoming], []
    while waiting:
        try:
            outgoing = hub.receive(waiting.pop())
        except FspiopRefusalError as refusal:
            refused = json.loads(refusal.body())["errorInformation"]
            outgoing = []
            told.append((refused["errorCode"], refusal.error_code))
        for out in outgoing:
            if out.destination in residents:
                waiting.extend(residents[out.destination].receive(out))
    assert all(one == other for one, other in told)


def prime(payer, state):
    """Let a payment of the test DFSP wait for what comes, under the id that is sent."""
    payment, _ = payer.order(Order(party_id="254700900001", amount="100", otp=True))
    payment.state, payment.peer, payment.request_id = state, "buffalo", KEY
    payment.transfer_amount, payment.condition = payment.amount, CONDITION
    if state == "REQUESTED":
        payment.kind = "request-to-pay"
    if state == "TRANSFERRING":
        payment.member.hold(payment.amount)
    payer._by_id[KEY] = payment


STATES = ["LOOKING_UP", "REQUESTED", "QUOTING", "AUTHORIZING", "TRANSFERRING"]
OPERATIONS = [(*key, count) for key, counts in SHAPES.items() for count in counts]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: "-".join(map(str, one)))
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bodies_that_are_wrong_anywhere(operation, data, new_world, buffalo):
    resource, method, error, count = operation
    body = MANY if (resource, count) == ("participants", 0) else BODIES.get((resource, method))
    body = ERROR if error else body
    if body is not None:
        path = data.draw(st.sampled_from(list(places(body))))
        body = changed(body, path, data.draw(anything), leave_out=bool(path) and data.draw(st.booleans()))
    to = "fxp" if resource.startswith("fx") else "testbank"
    version = data.draw(st.sampled_from(["1.0", "2.0"])) if not resource.startswith("fx") else "2.0"
    version = "2.0" if resource == "services" else version
    world = new_world()
    prime(world[1]["testbank"].payer, data.draw(st.sampled_from(STATES)))
    deliver(
        world,
        buffalo.message(
            method,
            path_of(resource, count, error=error),
            body,
            to=to,
            version=version,
            query=QUERY if resource == "authorizations" else "",
        ),
    )


@given(
    path=st.text(max_size=40).map(lambda text: "/" + text),
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    headers=st.dictionaries(
        st.sampled_from(["Accept", "Content_Type", "Date", "FSPIOP_Source", "FSPIOP_Destination"]),
        st.text(min_size=1, max_size=60),
    ),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_paths_and_headers_that_are_anything(path, method, headers, new_world, buffalo):
    deliver(new_world(), buffalo.message(method, path, None, to="testbank", **headers))
    deliver(new_world(), buffalo.message("GET", "/parties/MSISDN/254700900001", **headers))


@given(body=st.binary(max_size=60))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bodies_that_are_no_json(body, new_world, buffalo, clock):
    speaker = Counterparty(buffalo.pem, clock, "buffalo").speaker
    message = speaker.say(Line(to="testbank"), "POST", "/quotes", {})
    for data in (body, b"[" * 3_000, b'{"quoteId":' + b'{"a":' * 3_000):
        deliver(new_world(), type(message)(method="POST", path="/quotes", headers=message.headers, body=data))
