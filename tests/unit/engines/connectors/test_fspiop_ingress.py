import json

import pytest
from unit.engines.connectors.connector_kit import NOW_MS, PAYMENT, TRACE

from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_engines.connectors.mojaloop import ilp
from payhub_engines.connectors.mojaloop.ingress import FspiopRefusal, translate, verify_signature
from payhub_platform.clock import iso
from payhub_platform.money import Money
from payhub_platform.security import jws

QUOTE_ID = "11111111-1111-4111-8111-111111111111"
TRANSFER_ID = "22222222-2222-4222-8222-222222222222"
AMOUNT = {"amount": "100.5", "currency": "KES"}
PARTY = {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700100001", "fspId": "lion"}}
PAYER = {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700200001", "fspId": "buffalo"}}
PACKET = ilp.build_packet_of(
    json.dumps({"quoteId": QUOTE_ID, "transactionId": PAYMENT}).encode(),
    Money(10050, "KES"),
    "g.lion.msisdn.1",
)
HASH = "guyarI0Cf9pOz0kw6yBPPrm3sABkviEBSNB10eY5jfM"
QUOTE = {
    "quoteId": QUOTE_ID,
    "transactionId": PAYMENT,
    "payee": PARTY,
    "payer": PAYER,
    "amountType": "SEND",
    "amount": AMOUNT,
    "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
    "extensionList": {"extension": [{"key": "k", "value": "v"}]},
}
QUOTED = {"transferAmount": AMOUNT, "expiration": iso(NOW_MS), "ilpPacket": PACKET, "condition": HASH}
PREPARE = {
    "transferId": TRANSFER_ID,
    "payerFsp": "buffalo",
    "payeeFsp": "lion",
    "amount": AMOUNT,
    "ilpPacket": PACKET,
    "condition": HASH,
    "expiration": iso(NOW_MS),
}
REFUSED = {"errorInformation": {"errorCode": "5104", "errorDescription": "Payee rejected"}}


def error(code):
    return {"errorInformation": {"errorCode": code, "errorDescription": "x"}}


def headers(resource, **changed):
    sent = {
        "content-type": f"application/vnd.interoperability.{resource}+json;version=1.1",
        "date": fspiop_headers.format_date(NOW_MS),
        "fspiop-source": "lion",
        "fspiop-destination": "buffalo",
        "traceparent": TRACE,
    }
    sent |= {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in sent.items() if value is not None}


def send(buffalo, method, path, body=None, **changed):
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return translate(method, path, headers(path.split("/")[1], **changed), raw, buffalo, NOW_MS)


TABLE = [
    ("GET", "/parties/MSISDN/254700200001", None, 202, "party-request", "MSISDN/254700200001"),
    ("GET", "/parties/ALIAS/shop/till-1", None, 202, "party-request", "ALIAS/shop/till-1"),
    ("PUT", "/parties/MSISDN/254700100001", {"party": PARTY}, 200, "party-response", "MSISDN/254700100001"),
    ("PUT", "/parties/MSISDN/254700100001/error", REFUSED, 200, "party-response", "MSISDN/254700100001"),
    ("PUT", "/parties/ALIAS/shop/till-1/error", REFUSED, 200, "party-response", "ALIAS/shop/till-1"),
    ("POST", "/quotes", QUOTE, 202, "quote-request", PAYMENT),
    ("PUT", f"/quotes/{QUOTE_ID}", QUOTED, 200, "quote-response", QUOTE_ID),
    ("PUT", f"/quotes/{QUOTE_ID}/error", REFUSED, 200, "quote-response", QUOTE_ID),
    ("POST", "/transfers", PREPARE, 202, "transfer-prepare", f"lion/{PAYMENT}"),
    (
        "PUT",
        f"/transfers/{TRANSFER_ID}",
        {"transferState": "RESERVED"},
        200,
        "transfer-response",
        TRANSFER_ID,
    ),
    ("PUT", f"/transfers/{TRANSFER_ID}/error", REFUSED, 200, "transfer-response", TRANSFER_ID),
    (
        "PATCH",
        f"/transfers/{TRANSFER_ID}",
        {"transferState": "COMMITTED"},
        200,
        "transfer-settled",
        TRANSFER_ID,
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "name", "key"), TABLE)
def test_every_message_becomes_its_callback(buffalo, method, path, body, status, name, key):
    inbound = send(buffalo, method, path, body)
    assert inbound.status == status
    callback = inbound.callback
    assert callback is not None
    assert (callback.tenant, callback.name, callback.correlation_key) == ("buffalo", name, key)
    assert callback.trace == TRACE
    assert callback.broadcast == (name == "party-response")
    assert "error" in callback.variables
    assert callback.variables["error"] == (
        {"code": "5104", "description": "Payee rejected"} if path.endswith("error") else None
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/transfers/{TRANSFER_ID}", 202),
        ("PATCH", f"/transfers/{TRANSFER_ID}/error", 200),
        ("PUT", "/participants/MSISDN/254700200001", 200),
        ("PUT", "/participants/MSISDN/254700200001/error", 200),
    ],
)
def test_some_messages_are_only_acknowledged(buffalo, method, path, status):
    inbound = send(buffalo, method, path, REFUSED)
    assert (inbound.status, inbound.callback) == (status, None)


def test_a_quote_request_starts_a_process_once(buffalo):
    first = send(buffalo, "POST", "/quotes", QUOTE).callback
    reordered = dict(reversed(QUOTE.items()))
    again = send(buffalo, "POST", "/quotes", json.dumps(reordered, indent=2).encode()).callback
    other = send(buffalo, "POST", "/quotes", {**QUOTE, "note": "other"}).callback
    assert (first.start_process, first.payment, first.ttl_ms) == ("payee-quote-transfer", PAYMENT, 0)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_party_request_starts_a_look_up_for_each_conversation(buffalo):
    def payment(**changed):
        return send(buffalo, "GET", "/parties/MSISDN/1", **changed).callback.payment

    assert payment() == payment()
    assert (
        len({payment(), payment(traceparent=TRACE.replace("b7", "b8")), payment(fspiop_source="rhino")}) == 3
    )


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("3208", "NOT_FOUND"),
        ("1001", "UNKNOWN"),
        ("2001", "UNKNOWN"),
        ("3106", "UNKNOWN"),
        ("3303", "ABORTED"),
        ("4001", "ABORTED"),
        ("5104", "ABORTED"),
    ],
)
def test_only_a_refusal_is_an_outcome(buffalo, code, state):
    callback = send(buffalo, "PUT", f"/transfers/{TRANSFER_ID}/error", error(code)).callback
    assert callback.variables["transferResult"]["state"] == state


@pytest.mark.parametrize("source", ["lion", "switch", "rhino"])
def test_an_answer_says_who_gave_it(buffalo, source):
    for path, body in ((f"/quotes/{QUOTE_ID}", QUOTED), (f"/transfers/{TRANSFER_ID}/error", REFUSED)):
        assert (
            send(buffalo, "PUT", path, body, fspiop_source=source).callback.variables["answeredBy"] == source
        )


def test_only_the_switch_names_another_institution_for_a_party(buffalo):
    path = "/parties/MSISDN/254700100001"
    for source in ("lion", "switch"):
        callback = send(buffalo, "PUT", path, {"party": PARTY}, fspiop_source=source).callback
        assert callback.variables["payeeFsp"] == "lion"
    with pytest.raises(FspiopRefusal) as refusal:
        send(buffalo, "PUT", path, {"party": PARTY}, fspiop_source="rhino")
    assert refusal.value.error_code == "3101"


def test_an_aborted_transfer_has_an_error(buffalo):
    callback = send(buffalo, "PUT", f"/transfers/{TRANSFER_ID}", {"transferState": "ABORTED"}).callback
    assert callback.variables["error"]["code"] == "2000"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"content_type": None}, 400, "3102"),
        ({"content_type": "application/json"}, 400, "3101"),
        ({"content_type": "application/vnd.interoperability.quotes+json;version=1.1"}, 400, "3101"),
        ({"content_type": "application/vnd.interoperability.parties+json;version=2.0"}, 406, "3001"),
        ({"accept": "application/vnd.interoperability.parties+json;version=2"}, 406, "3001"),
        ({"accept": "text/html"}, 400, "3101"),
        ({"date": None}, 400, "3102"),
        ({"date": "2026-01-01T00:00:00Z"}, 400, "3101"),
        ({"date": "Tue, 99 Nov 1994 08:12:31 GMT"}, 400, "3101"),
        ({"fspiop_source": None}, 400, "3102"),
        ({"fspiop_source": "x" * 33}, 400, "3101"),
        ({"fspiop_destination": None}, 400, "3102"),
        ({"fspiop_destination": "rhino"}, 400, "3101"),
    ],
)
def test_headers_are_checked(buffalo, changed, status, code):
    with pytest.raises(FspiopRefusal) as refusal:
        send(buffalo, "GET", "/parties/MSISDN/1", **changed)
    assert (refusal.value.status, refusal.value.error_code) == (status, code)


@pytest.mark.parametrize(
    "accept",
    [
        "application/vnd.interoperability.parties+json;version=1",
        "application/vnd.interoperability.parties+json",
        ", ".join(f"application/vnd.interoperability.parties+json;version={v}" for v in ("2", "1.0")),
    ],
)
def test_any_version_one_is_acceptable(buffalo, accept):
    assert send(buffalo, "GET", "/parties/MSISDN/1", accept=accept).status == 202


def without(message, name):
    return {key: value for key, value in message.items() if key != name}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/nothing/1", None, 404, "3002"),
        ("GET", "/parties/MSISDN", None, 404, "3002"),
        ("PUT", f"/quotes/{QUOTE_ID}/x/y", QUOTED, 404, "3002"),
        ("DELETE", "/parties/MSISDN/1", None, 405, "3000"),
        ("GET", "/quotes", None, 405, "3000"),
        ("GET", "/parties/PIGEON/1", None, 400, "3101"),
        ("GET", f"/parties/MSISDN/{'1' * 129}", None, 400, "3101"),
        ("POST", "/quotes", b"{", 400, "3101"),
        ("POST", "/quotes", b"\xff", 400, "3101"),
        ("POST", "/quotes", without(QUOTE, "amount"), 400, "3102"),
        ("POST", "/quotes", {**QUOTE, "amount": {"amount": "5.50", "currency": "KES"}}, 400, "3101"),
        ("POST", "/quotes", {**QUOTE, "amount": {"amount": "5.505", "currency": "KES"}}, 400, "3101"),
        ("POST", "/quotes", {**QUOTE, "amount": {"amount": 5, "currency": "KES"}}, 400, "3101"),
        ("POST", "/quotes", {**QUOTE, "amount": {"amount": "5", "currency": "ABC"}}, 400, "3101"),
        ("POST", "/quotes", {**QUOTE, "transactionId": "7"}, 400, "3101"),
        ("POST", "/quotes", {**QUOTE, "expiration": "2026-01-01T00:00:00Z"}, 400, "3101"),
        ("PUT", "/quotes/ABC", QUOTED, 400, "3101"),
        ("PUT", f"/quotes/{QUOTE_ID}", {**QUOTED, "condition": "short"}, 400, "3101"),
        ("PUT", f"/quotes/{QUOTE_ID}", {**QUOTED, "expiration": "2026-13-01T00:00:00.000Z"}, 400, "3101"),
        ("PUT", f"/quotes/{QUOTE_ID}/error", error("x"), 400, "3101"),
        ("PUT", "/parties/MSISDN/254700100002", {"party": PARTY}, 400, "3101"),
        ("POST", "/transfers", {**PREPARE, "ilpPacket": "AAAA"}, 400, "3101"),
        ("PUT", f"/transfers/{TRANSFER_ID}", {"transferState": "LOST"}, 400, "3101"),
        ("PUT", f"/transfers/{TRANSFER_ID}", {}, 400, "3102"),
    ],
)
def test_bodies_and_paths_are_checked(buffalo, method, path, body, status, code):
    with pytest.raises(FspiopRefusal) as refusal:
        send(buffalo, method, path, body)
    assert (refusal.value.status, refusal.value.error_code) == (status, code)
    told = json.loads(refusal.value.body())["errorInformation"]
    assert told["errorCode"] == code
    assert 0 < len(told["errorDescription"]) <= 128


def test_signatures_are_checked_against_the_key_of_the_source():
    pem = jws.new_private_key_pem()
    key, public = jws.load_private_key(pem), jws.load_public_key(jws.public_pem(pem))
    body, path = b'{"party":1}', "/parties/EMAIL/a%20b@c"
    sent = {"FSPIOP-Source": "lion", "FSPIOP-Destination": "buffalo", "Date": "Tue"}
    sent |= jws.sign(body, sent, path, "PUT", key)
    received = {name.lower(): value for name, value in sent.items()}
    verify_signature("PUT", "/fspiop/parties/EMAIL/a b@c", received, body, public)
    verify_signature("GET", "/parties/MSISDN/1", {}, b"", None)
    wrong = [
        ("PUT", path, received, body + b" ", public),
        ("PUT", "/parties/EMAIL/other", received, body, public),
        ("POST", path, received, body, public),
        ("PUT", path, received, body, None),
        ("PUT", path, {}, body, public),
        ("PUT", path, {**received, "fspiop-source": "rhino"}, body, public),
        ("PUT", path, {**received, "fspiop-http-method": "POST"}, body, public),
        ("PUT", path, without(received, "fspiop-http-method"), body, public),
    ]
    for arguments in wrong:
        with pytest.raises(FspiopRefusal) as refusal:
            verify_signature(*arguments)
        assert refusal.value.error_code == "3105"


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_a_body_nested_without_end_is_malformed_and_nothing_else(buffalo, depth):
    body = b'{"quoteId":' + b"[" * depth
    deep = json.dumps(QUOTE)[:-1].encode() + b',"extra":' + b"[" * depth + b"]" * depth + b"}"
    for content in (body, deep):
        with pytest.raises(FspiopRefusal) as caught:
            translate("POST", "/quotes", headers("quotes"), content, buffalo, NOW_MS)
        assert (caught.value.status, caught.value.error_code) == (400, "3101")
