"""Requests and answers that the switch passes on between DFSPs, in both directions."""

import json

import pytest

from payhub_platform.clock import iso
from payhub_sandbox.switch.refusal import FspiopRefusalError

KEY = "33333333-3333-4333-8333-333333333333"
OTHER = "44444444-4444-4444-8444-444444444444"
KES_100 = {"currency": "KES", "amount": "100"}
TYPE = {"scenario": "PAYMENT", "initiator": "PAYEE", "initiatorType": "BUSINESS"}
ERROR = {"errorInformation": {"errorCode": "4101", "errorDescription": "no"}}
CONDITION = "A" * 43


def party(number):
    return {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": number}}


def terms(amount="100"):
    return {
        "conversionId": OTHER,
        "initiatingFsp": "buffalo",
        "counterPartyFsp": "rhino",
        "amountType": "SEND",
        "sourceAmount": {"currency": "KES", "amount": amount},
        "targetAmount": {"currency": "TZS"},
        "expiration": iso(1_790_000_030_000),
    }


REQUESTS = {
    "transactionRequests": {
        "transactionRequestId": KEY,
        "payee": party("254700200001"),
        "payer": {"partyIdType": "MSISDN", "partyIdentifier": "254700300001"},
        "amount": KES_100,
        "transactionType": TYPE,
    },
    "quotes": {
        "quoteId": KEY,
        "transactionId": OTHER,
        "payee": party("254700300001"),
        "payer": party("254700200001"),
        "amountType": "SEND",
        "amount": KES_100,
        "transactionType": TYPE,
    },
    "bulkQuotes": {
        "bulkQuoteId": KEY,
        "payer": party("254700200001"),
        "individualQuotes": [
            {
                "quoteId": OTHER,
                "transactionId": OTHER,
                "payee": party("254700300001"),
                "amountType": "SEND",
                "amount": KES_100,
                "transactionType": TYPE,
            }
        ],
    },
    "fxQuotes": {"conversionRequestId": KEY, "conversionTerms": terms()},
}
ANSWERS = {
    "transactionRequests": {"transactionRequestState": "ACCEPTED", "transactionId": OTHER},
    "quotes": {
        "transferAmount": KES_100,
        "expiration": iso(1_790_000_030_000),
        "ilpPacket": "AYIB",
        "condition": CONDITION,
    },
    "bulkQuotes": {"expiration": iso(1_790_000_030_000), "individualQuoteResults": []},
    "fxQuotes": {"conversionTerms": terms() | {"targetAmount": {"currency": "TZS", "amount": "2000"}}},
}
MALFORMED = {
    "transactionRequests": {"transactionRequestState": "PERHAPS"},
    "quotes": ANSWERS["quotes"] | {"condition": "short"},
    "bulkQuotes": {"expiration": "tomorrow"},
    "fxQuotes": {"conversionTerms": terms()},
}
NOT_FOUND = {"transactionRequests": "3206", "quotes": "3205", "bulkQuotes": "3209", "fxQuotes": "3205"}
resources = pytest.mark.parametrize("resource", REQUESTS)


def version(resource):
    return "2.0" if resource == "fxQuotes" else "1.1"


def ask(dfsp, resource, to="rhino", **change):
    body = REQUESTS[resource] | change
    return dfsp.message("POST", f"/{resource}", body, to=to, version=version(resource))


def answer(dfsp, resource, body, to="buffalo", suffix=""):
    return dfsp.message("PUT", f"/{resource}/{KEY}{suffix}", body, to=to, version=version(resource))


def code_of(message):
    return json.loads(message.body)["errorInformation"]["errorCode"]


@resources
def test_requests_and_answers_travel_unchanged(hub, buffalo, rhino, resource):
    request, response = ask(buffalo, resource), answer(rhino, resource, ANSWERS[resource])
    refused = answer(rhino, resource, ERROR, suffix="/error")
    for incoming, destination in ((request, "rhino"), (response, "buffalo"), (refused, "buffalo")):
        [message] = hub.receive(incoming)
        assert (message.destination, message.body, message.path) == (
            destination,
            incoming.body,
            incoming.path,
        )
        assert message.headers["FSPIOP-Signature"] == incoming.headers["fspiop-signature"]


@resources
def test_a_repeat_is_passed_on_again_and_a_change_is_3106(hub, buffalo, lion, resource):
    for _ in range(2):
        [message] = hub.receive(ask(buffalo, resource))
        assert message.destination == "rhino"
    for changed in (ask(buffalo, resource, note="other"), ask(lion, resource)):
        [message] = hub.receive(changed)
        assert (message.path, code_of(message)) == (f"/{resource}/{KEY}/error", "3106")
        assert message.destination == changed.source


@resources
def test_who_is_asked_for_nobody_is_told(hub, buffalo, resource):
    [message] = hub.receive(ask(buffalo, resource, to="nobody"))
    assert (message.destination, message.path) == ("buffalo", f"/{resource}/{KEY}/error")
    assert code_of(message) == "3201"


@resources
def test_a_query_finds_who_was_asked(hub, buffalo, resource):
    query = buffalo.message("GET", f"/{resource}/{KEY}", version=version(resource))
    [unknown] = hub.receive(query)
    assert (unknown.path, code_of(unknown)) == (f"/{resource}/{KEY}/error", NOT_FOUND[resource])
    hub.receive(ask(buffalo, resource))
    [passed] = hub.receive(query)
    assert (passed.destination, passed.headers["FSPIOP-Destination"]) == ("rhino", "rhino")


@resources
def test_malformed_answers_are_refused(hub, rhino, resource):
    with pytest.raises(FspiopRefusalError, match="310"):
        hub.receive(answer(rhino, resource, MALFORMED[resource]))


@resources
@pytest.mark.parametrize("amount", ["0", "1.50", "-1", "1e2", "1.234"])
def test_amounts_that_are_none_are_refused(hub, buffalo, resource, amount):
    money = KES_100 | {"amount": amount}
    changes = {
        "bulkQuotes": {
            "individualQuotes": [REQUESTS["bulkQuotes"]["individualQuotes"][0] | {"amount": money}]
        },
        "fxQuotes": {"conversionTerms": terms(amount)},
    }
    change = changes.get(resource, {"amount": money})
    with pytest.raises(FspiopRefusalError, match="3100"):
        hub.receive(ask(buffalo, resource, **change))


def test_a_request_to_pay_is_answered_with_an_otp(hub, buffalo, rhino):
    query = "authenticationType=OTP&retriesLeft=2&amount=102&currency=KES"
    asked = buffalo.message("GET", f"/authorizations/{KEY}", to="rhino", query=query)
    [message] = hub.receive(asked)
    assert (message.destination, message.path) == ("rhino", f"/authorizations/{KEY}?{query}")
    entered = {
        "responseType": "ENTERED",
        "authenticationInfo": {"authentication": "OTP", "authenticationValue": "1234"},
    }
    [message] = hub.receive(rhino.message("PUT", f"/authorizations/{KEY}", entered, to="buffalo"))
    assert (message.destination, json.loads(message.body)) == ("buffalo", entered)
    [message] = hub.receive(rhino.message("PUT", f"/authorizations/{KEY}/error", ERROR, to="buffalo"))
    assert message.destination == "buffalo"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "3102"),
        ("authenticationType=OTP&retriesLeft=2&amount=102", "3102"),
        ("authenticationType=OTP&retriesLeft=2&amount=01&currency=KES", "3100"),
    ],
)
def test_an_otp_is_asked_for_with_an_amount(hub, buffalo, query, code):
    with pytest.raises(FspiopRefusalError, match=code):
        hub.receive(buffalo.message("GET", f"/authorizations/{KEY}", to="rhino", query=query))


def test_transactions_are_asked_for(hub, buffalo, rhino):
    [message] = hub.receive(buffalo.message("GET", f"/transactions/{KEY}", to="rhino"))
    assert message.destination == "rhino"
    [message] = hub.receive(buffalo.message("GET", f"/transactions/{KEY}", to="nobody"))
    assert code_of(message) == "3207"
    body = {"transactionState": "COMPLETED"}
    [message] = hub.receive(rhino.message("PUT", f"/transactions/{KEY}", body, to="buffalo"))
    assert message.destination == "buffalo"


def test_participants_are_found_and_deleted(hub, buffalo, rhino):
    path = "/participants/BUSINESS/shop/till-1"
    [message] = hub.receive(buffalo.message("GET", path))
    assert (message.path, code_of(message)) == (path + "/error", "3204")
    hub.receive(rhino.message("POST", path, {"fspId": "rhino"}))
    [message] = hub.receive(buffalo.message("GET", path))
    assert json.loads(message.body) == {"fspId": "rhino"}
    [message] = hub.receive(buffalo.message("DELETE", path))
    assert (message.destination, message.path, code_of(message)) == ("buffalo", path + "/error", "3040")
    [message] = hub.receive(rhino.message("DELETE", path))
    assert (message.method, message.path, json.loads(message.body)) == ("PUT", path, {"fspId": "rhino"})
    [message] = hub.receive(rhino.message("DELETE", path))
    assert code_of(message) == "3204"


def test_many_participants_are_registered_at_once_each_for_itself(hub, rhino, lion):
    hub.receive(lion.message("POST", "/participants/MSISDN/2", {"fspId": "lion"}))
    wanted = [
        {"partyIdType": "MSISDN", "partyIdentifier": "1"},
        {"partyIdType": "MSISDN", "partyIdentifier": "2"},
        {"partyIdType": "PHONE", "partyIdentifier": "3"},
        {"partyIdType": "BUSINESS", "partyIdentifier": "shop", "partySubIdOrType": "till"},
    ]
    body = {"requestId": KEY, "partyList": wanted, "currency": "KES"}
    [message] = hub.receive(rhino.message("POST", "/participants", body))
    assert (message.destination, message.path) == ("rhino", f"/participants/{KEY}")
    told = json.loads(message.body)
    codes = [one.get("errorInformation", {}).get("errorCode") for one in told["partyList"]]
    assert (codes, told["currency"]) == ([None, "3003", "3002", None], "KES")
    assert hub.lookup.directory.owner("BUSINESS/shop/till") == "rhino"
    for count, code in ((0, "3103"), (10_001, "3103")):
        with pytest.raises(FspiopRefusalError, match=code):
            hub.receive(rhino.message("POST", "/participants", body | {"partyList": wanted[:1] * count}))


def test_an_otp_may_be_asked_for_again_with_fewer_retries_left(hub, buffalo):
    for left in (2, 1):
        query = f"authenticationType=OTP&retriesLeft={left}&amount=102&currency=KES"
        asked = buffalo.message("GET", f"/authorizations/{KEY}", to="rhino", query=query)
        assert [one.destination for one in hub.receive(asked)] == ["rhino"]
