import json

import pytest
from unit.engines.connectors.connector_kit import NOW_MS, PAYMENT, TRACE

from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_engines.connectors.mojaloop import ilp
from payhub_engines.connectors.mojaloop.ingress import (
    MESSAGE_NAMES,
    FspiopRefusal,
    translate,
    verify_signature,
)
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
TRANSACTION = {"transactionState": "COMPLETED", "completedTimestamp": iso(NOW_MS)}
REQUEST = {
    "transactionRequestId": QUOTE_ID,
    "payee": PARTY,
    "payer": PAYER["partyIdInfo"],
    "amount": AMOUNT,
    "transactionType": {"scenario": "PAYMENT", "initiator": "PAYEE", "initiatorType": "BUSINESS"},
    "authenticationType": "OTP",
}
ENTERED = {
    "responseType": "ENTERED",
    "authenticationInfo": {"authentication": "OTP", "authenticationValue": "1234"},
}
ASKED = "authenticationType=OTP&retriesLeft=2&amount=100.5&currency=KES"
INDIVIDUAL = {name: QUOTE[name] for name in QUOTE if name not in ("payer", "extensionList")}
BULK_QUOTE = {"bulkQuoteId": QUOTE_ID, "payer": PAYER, "individualQuotes": [INDIVIDUAL]}
BULK_QUOTED = {
    "expiration": iso(NOW_MS),
    "individualQuoteResults": [{"quoteId": QUOTE_ID, "transferAmount": AMOUNT}],
}
BULK_TRANSFER = {
    "bulkTransferId": TRANSFER_ID,
    "bulkQuoteId": QUOTE_ID,
    "payerFsp": "lion",
    "payeeFsp": "buffalo",
    "individualTransfers": [
        {"transferId": TRANSFER_ID, "transferAmount": AMOUNT, "ilpPacket": PACKET, "condition": HASH}
    ],
    "expiration": iso(NOW_MS),
}
BULK_DONE = {"bulkTransferState": "COMPLETED", "individualTransferResults": [{"transferId": TRANSFER_ID}]}
CONVERSION = {
    "conversionId": TRANSFER_ID,
    "initiatingFsp": "buffalo",
    "counterPartyFsp": "lion",
    "amountType": "SEND",
    "sourceAmount": AMOUNT,
    "targetAmount": {"currency": "UGX", "amount": "2900"},
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
    path, _, query = path.partition("?")
    return translate(method, path, headers(path.split("/")[1], **changed), raw, buffalo, NOW_MS, query)


REGISTERED = {"partyList": [{"partyId": PARTY["partyIdInfo"]}], "currency": "KES"}
PATHS = {  # resource: what is received of it, as method, path behind the resource, body, message and key
    "participants": [
        ("GET", "/MSISDN/254700200001", None, "participant-request", "MSISDN/254700200001"),
        ("GET", "/ALIAS/shop/till-1", None, "participant-request", "ALIAS/shop/till-1"),
        ("PUT", "/MSISDN/1", {"fspId": "lion"}, "participant-response", "MSISDN/1"),
        ("PUT", "/MSISDN/1/error", REFUSED, "participant-response", "MSISDN/1"),
        ("PUT", "/ALIAS/shop/till-1", {}, "participant-response", "ALIAS/shop/till-1"),
        ("PUT", "/ALIAS/shop/till-1/error", REFUSED, "participant-response", "ALIAS/shop/till-1"),
        ("PUT", f"/{QUOTE_ID}", REGISTERED, "participants-response", QUOTE_ID),
        ("PUT", f"/{QUOTE_ID}/error", REFUSED, "participants-response", QUOTE_ID),
    ],
    "parties": [
        ("GET", "/MSISDN/254700200001", None, "party-request", "MSISDN/254700200001"),
        ("GET", "/ALIAS/shop/till-1", None, "party-request", "ALIAS/shop/till-1"),
        ("PUT", "/MSISDN/254700100001", {"party": PARTY}, "party-response", "MSISDN/254700100001"),
        ("PUT", "/MSISDN/254700100001/error", REFUSED, "party-response", "MSISDN/254700100001"),
        ("PUT", "/ALIAS/shop/till-1/error", REFUSED, "party-response", "ALIAS/shop/till-1"),
    ],
    "transactionRequests": [
        ("POST", "", REQUEST, "transaction-request", QUOTE_ID),
        ("GET", f"/{QUOTE_ID}", None, "transaction-request-query", QUOTE_ID),
        (
            "PUT",
            f"/{QUOTE_ID}",
            {"transactionRequestState": "RECEIVED"},
            "transaction-request-response",
            QUOTE_ID,
        ),
        ("PUT", f"/{QUOTE_ID}/error", REFUSED, "transaction-request-response", QUOTE_ID),
    ],
    "quotes": [
        ("POST", "", QUOTE, "quote-request", PAYMENT),
        ("GET", f"/{QUOTE_ID}", None, "quote-query", QUOTE_ID),
        ("PUT", f"/{QUOTE_ID}", QUOTED, "quote-response", QUOTE_ID),
        ("PUT", f"/{QUOTE_ID}/error", REFUSED, "quote-response", QUOTE_ID),
    ],
    "authorizations": [
        ("GET", f"/{QUOTE_ID}?{ASKED}", None, "authorization-request", QUOTE_ID),
        ("PUT", f"/{QUOTE_ID}", ENTERED, "authorization-response", QUOTE_ID),
        ("PUT", f"/{QUOTE_ID}/error", REFUSED, "authorization-response", QUOTE_ID),
    ],
    "transfers": [
        ("POST", "", PREPARE, "transfer-prepare", f"lion/{PAYMENT}"),
        ("GET", f"/{TRANSFER_ID}", None, "transfer-query", TRANSFER_ID),
        ("PUT", f"/{TRANSFER_ID}", {"transferState": "RESERVED"}, "transfer-response", TRANSFER_ID),
        ("PUT", f"/{TRANSFER_ID}/error", REFUSED, "transfer-response", TRANSFER_ID),
        ("PATCH", f"/{TRANSFER_ID}", {"transferState": "COMMITTED"}, "transfer-settled", TRANSFER_ID),
        ("PATCH", f"/{TRANSFER_ID}/error", REFUSED, "transfer-settled", TRANSFER_ID),
    ],
    "transactions": [
        ("GET", f"/{PAYMENT}", None, "transaction-query", PAYMENT),
        ("PUT", f"/{PAYMENT}", TRANSACTION, "transaction-response", PAYMENT),
        ("PUT", f"/{PAYMENT}/error", REFUSED, "transaction-response", PAYMENT),
    ],
    "bulkQuotes": [
        ("POST", "", BULK_QUOTE, "bulk-quote-request", QUOTE_ID),
        ("GET", f"/{QUOTE_ID}", None, "bulk-quote-query", QUOTE_ID),
        ("PUT", f"/{QUOTE_ID}", BULK_QUOTED, "bulk-quote-response", QUOTE_ID),
        ("PUT", f"/{QUOTE_ID}/error", REFUSED, "bulk-quote-response", QUOTE_ID),
    ],
    "bulkTransfers": [
        ("POST", "", BULK_TRANSFER, "bulk-transfer-prepare", f"lion/{QUOTE_ID}"),
        ("GET", f"/{TRANSFER_ID}", None, "bulk-transfer-query", TRANSFER_ID),
        ("PUT", f"/{TRANSFER_ID}", BULK_DONE, "bulk-transfer-response", TRANSFER_ID),
        ("PUT", f"/{TRANSFER_ID}/error", REFUSED, "bulk-transfer-response", TRANSFER_ID),
        ("PATCH", f"/{TRANSFER_ID}", BULK_DONE, "bulk-transfer-settled", TRANSFER_ID),
    ],
    "services": [
        ("PUT", "/FXP", {"providers": ["lion"]}, "services-response", "FXP"),
        ("PUT", "/FXP/KES/UGX", {"providers": []}, "services-response", "FXP/KES/UGX"),
        ("PUT", "/FXP/KES/UGX/error", REFUSED, "services-response", "FXP/KES/UGX"),
    ],
    "fxQuotes": [
        ("PUT", f"/{QUOTE_ID}", {"conversionTerms": CONVERSION}, "fx-quote-response", QUOTE_ID),
        ("PUT", f"/{QUOTE_ID}/error", REFUSED, "fx-quote-response", QUOTE_ID),
    ],
    "fxTransfers": [
        ("PUT", f"/{QUOTE_ID}", {"conversionState": "RESERVED"}, "fx-transfer-response", QUOTE_ID),
        ("PUT", f"/{QUOTE_ID}/error", REFUSED, "fx-transfer-response", QUOTE_ID),
    ],
}
TABLE = [
    (method, f"/{resource}{path}", body, name, key)
    for resource, received in PATHS.items()
    for method, path, body, name, key in received
]
LOOK_UPS = {"party-response", "participant-response", "services-response"}


@pytest.mark.parametrize(("method", "path", "body", "name", "key"), TABLE)
def test_every_message_becomes_its_callback(buffalo, method, path, body, name, key):
    inbound = send(buffalo, method, path, body)
    assert inbound.status == (200 if method in ("PUT", "PATCH") else 202)
    callback = inbound.callback
    assert callback is not None
    assert (callback.tenant, callback.name, callback.correlation_key) == ("buffalo", name, key)
    assert callback.trace == TRACE
    assert callback.broadcast == (name in LOOK_UPS)
    if method in ("PUT", "PATCH"):
        assert callback.variables["answeredBy"] == "lion"
        assert callback.variables["error"] == (
            {"code": "5104", "description": "Payee rejected"} if path.endswith("error") else None
        )


def test_every_message_that_a_process_may_wait_for_can_be_received():
    assert {name for *_, name, _ in TABLE} == MESSAGE_NAMES


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/participants", REGISTERED),
        ("POST", "/participants/MSISDN/1", {"fspId": "lion"}),
        ("DELETE", "/participants/MSISDN/1", None),
        ("GET", "/services/FXP/KES/UGX", None),
        ("POST", "/fxQuotes", CONVERSION),
        ("GET", f"/fxQuotes/{QUOTE_ID}", None),
        ("POST", "/fxTransfers", CONVERSION),
        ("PATCH", f"/fxTransfers/{QUOTE_ID}", {"conversionState": "COMMITTED"}),
    ],
)
def test_what_only_a_scheme_or_provider_serves_is_not_implemented(buffalo, method, path, body):
    with pytest.raises(FspiopRefusal) as refusal:
        send(buffalo, method, path, body)
    assert (refusal.value.status, refusal.value.error_code) == (501, "2002")


@pytest.mark.parametrize(
    ("method", "path", "body"), [row[:3] for row in TABLE if row[2] is not None and row[2] != {}]
)
def test_extra_properties_are_ignored_and_rubbish_is_refused_everywhere(buffalo, method, path, body):
    plain = send(buffalo, method, path, body).callback
    extended = send(buffalo, method, path, {**body, "schemeSpecific": {"a": [1]}}).callback
    for name in ("fingerprint", "transferFingerprint", "bulkTransferFingerprint"):
        plain.variables.pop(name, None), extended.variables.pop(name, None)
    assert extended.variables == plain.variables
    for rubbish in (b"", b"[]", b"7", b"{", b"\xff", b"null"):
        if not rubbish and method == "PUT" and path.startswith("/participants"):
            continue  # an empty answer to a registration is an answer
        with pytest.raises(FspiopRefusal) as refusal:
            send(buffalo, method, path, rubbish)
        assert refusal.value.error_code == "3101"


def test_a_query_changes_nothing_in_the_instance_that_answers_it(buffalo):
    for path in (f"/quotes/{QUOTE_ID}", f"/transfers/{QUOTE_ID}", f"/transactions/{QUOTE_ID}"):
        callback = send(buffalo, "GET", path).callback
        assert set(callback.variables) == {"query", "queriedBy", "queryRefusal"}
        assert callback.start_process == "refuse-query"
        assert callback.variables["query"] == {"resource": path.split("/")[1], "path": [QUOTE_ID]}


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        ("transactionRequests", "3206"),
        ("quotes", "3205"),
        ("transactions", "3207"),
        ("transfers", "3208"),
        ("bulkQuotes", "3209"),
        ("bulkTransfers", "3210"),
    ],
)
def test_an_unknown_id_is_told_in_the_resources_own_code(buffalo, resource, code):
    callback = send(buffalo, "GET", f"/{resource}/{QUOTE_ID}").callback
    assert callback.variables["queryRefusal"]["code"] == code


def test_a_path_may_name_the_institution(buffalo):
    changed = headers("parties", fspiop_destination=None)
    for destination in ({}, {"fspiop-destination": "buffalo"}):
        found = translate("GET", "/buffalo/parties/MSISDN/1", changed | destination, b"", buffalo, NOW_MS)
        assert found.callback.name == "party-request"
    with pytest.raises(FspiopRefusal) as refusal:
        translate("GET", "/lion/parties/MSISDN/1", changed, b"", buffalo, NOW_MS)
    assert refusal.value.error_code == "3102"


def test_a_body_may_not_be_larger_than_the_scheme_allows(buffalo):
    with pytest.raises(FspiopRefusal) as refusal:
        send(buffalo, "POST", "/quotes", b" " * (1024 * 1024 + 1))
    assert refusal.value.error_code == "3104"


@pytest.mark.parametrize(
    ("body", "code", "where"),
    [
        ({**QUOTE, "amount": {"amount": "5.50", "currency": "KES"}}, "3101", "/amount/amount"),
        ({**QUOTE, "amount": {"amount": "5.505", "currency": "KES"}}, "3101", "/amount"),
        (
            {**QUOTE, "payer": {"partyIdInfo": {"partyIdType": "MSISDN"}}},
            "3102",
            "/payer/partyIdInfo/partyIdentifier",
        ),
        (
            {**QUOTE, "extensionList": {"extension": [{"key": "k", "value": "v"}] * 17}},
            "3103",
            "/extensionList/extension",
        ),
        (
            {**QUOTE, "extensionList": {"extension": [{"key": "k"}]}},
            "3102",
            "/extensionList/extension/0/value",
        ),
    ],
)
def test_a_refusal_names_the_field(buffalo, body, code, where):
    with pytest.raises(FspiopRefusal) as refusal:
        send(buffalo, "POST", "/quotes", body)
    assert (refusal.value.error_code, refusal.value.where) == (code, where)
    assert json.loads(refusal.value.body())["errorInformation"]["errorDescription"].startswith(f"{where}: ")


def test_a_commit_error_after_reserved_is_asked_about(buffalo):
    callback = send(buffalo, "PATCH", f"/transfers/{TRANSFER_ID}/error", REFUSED).callback
    assert callback.variables["transferResult"] == {
        "state": "UNKNOWN",
        "fulfilment": None,
        "completedTimestamp": None,
    }
    assert "transferRefusal" not in callback.variables


@pytest.mark.parametrize("identifier", ["01JBVM19DFKNRWC21FGJNTHRAT", "0190b7c8-1111-7111-8111-111111111111"])
def test_ids_of_version_two_are_read(buffalo, identifier):
    assert send(buffalo, "POST", "/quotes", {**QUOTE, "quoteId": identifier}).callback is not None


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


def test_without_a_trace_two_look_ups_within_a_second_are_two(buffalo):
    """A switch may drop traceparent, and dates are in seconds: an answer too many is better than none."""
    bare = headers("parties")
    del bare["traceparent"]
    first, second = (
        translate("GET", "/parties/MSISDN/1", bare, b"", buffalo, NOW_MS + ms).callback.payment
        for ms in (0, 400)
    )
    assert first != second


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
        ({"fspiop_source": "li on"}, 400, "3101"),
        ({"fspiop_encryption": '{"encryptedFields":{}}'}, 501, "2002"),
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
    verify_signature("PUT", "/fspiop/parties/EMAIL/a b@c", received, body, [public])
    verify_signature("GET", "/parties/MSISDN/1", {}, b"", [])
    wrong = [
        ("PUT", path, received, body + b" ", [public]),
        ("PUT", "/parties/EMAIL/other", received, body, [public]),
        ("POST", path, received, body, [public]),
        ("PUT", path, received, body, []),
        ("PUT", path, {}, body, [public]),
        ("PUT", path, {**received, "fspiop-source": "rhino"}, body, [public]),
        ("PUT", path, {**received, "fspiop-http-method": "POST"}, body, [public]),
        ("PUT", path, without(received, "fspiop-http-method"), body, [public]),
    ]
    for arguments in wrong:
        with pytest.raises(FspiopRefusal) as refusal:
            verify_signature(*arguments)
        assert refusal.value.error_code == "3105"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/parties/ALIAS/100%25", "/parties/ALIAS/100%"),
        ("/parties/ALIAS/a%2541", "/parties/ALIAS/a%41"),
        ("/parties/ALIAS/a%0A", "/parties/ALIAS/a\n"),
    ],
)
def test_a_signature_is_for_the_path_as_it_is_decoded_once(written, meant):
    pem = jws.new_private_key_pem()
    key, public = jws.load_private_key(pem), jws.load_public_key(jws.public_pem(pem))
    sent = {"FSPIOP-Source": "lion", "FSPIOP-Destination": "buffalo"}
    sent |= jws.sign(b"{}", sent, written, "PUT", key)
    received = {name.lower(): value for name, value in sent.items()}
    verify_signature("PUT", f"/buffalo{meant}", received, b"{}", [public])
    for other in ("/parties/ALIAS/aA", "/parties/ALIAS/a", written, f"/parties/ALIAS/b\n{meant}"):
        with pytest.raises(FspiopRefusal):
            verify_signature("PUT", other, received, b"{}", [public])


def test_a_question_with_fields_without_end_is_malformed(buffalo):
    query = "&".join(f"field{number}=1" for number in range(100))
    with pytest.raises(FspiopRefusal) as refusal:
        send(buffalo, "GET", f"/authorizations/{QUOTE_ID}?{query}")
    assert (refusal.value.status, refusal.value.error_code) == (400, "3101")


def test_a_transfer_without_a_quote_is_refused_to_whoever_sent_it_unless_it_is_over(buffalo):
    source = "lion/east"  # FSPIOP lets any visible character be in an id
    prepare = send(buffalo, "POST", "/transfers", PREPARE, fspiop_source=source).callback
    assert prepare.subject.given["queriedBy"] == source
    assert not prepare.subject.or_unknown
    later = {**PREPARE, "expiration": iso(NOW_MS + 1)}
    prepare = send(buffalo, "POST", "/transfers", later, fspiop_source=source).callback
    assert prepare.subject.or_unknown
    assert prepare.subject.given["queryRefusal"]["code"] == "3205"


@pytest.mark.parametrize("name", ["FSPIOP-Source", "fspiop-signature", "FSPIOP-Destination", "Date"])
def test_a_header_that_is_there_twice_is_malformed(name):
    """What stands before payhub may have looked at the other one."""
    once = [(name, "lion"), ("Via", "a"), ("via", "b")]
    assert fspiop_headers.read(once) == {name.lower(): "lion", "via": "a, b"}
    with pytest.raises(FspiopRefusal) as refusal:
        fspiop_headers.read([*once, (name.swapcase(), "rhino")])
    assert (refusal.value.status, refusal.value.error_code) == (400, "3101")


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_a_body_nested_without_end_is_malformed_and_nothing_else(buffalo, depth):
    body = b'{"quoteId":' + b"[" * depth
    deep = json.dumps(QUOTE)[:-1].encode() + b',"extra":' + b"[" * depth + b"]" * depth + b"}"
    for content in (body, deep):
        with pytest.raises(FspiopRefusal) as caught:
            translate("POST", "/quotes", headers("quotes"), content, buffalo, NOW_MS)
        assert (caught.value.status, caught.value.error_code) == (400, "3101")
