import json

import pytest

from payhub_platform.security.jws import load_public_key, verify
from payhub_sandbox.switch.refusal import FspiopRefusalError

MSISDN = "/MSISDN/254700300001"
QUOTE_ID = "11111111-1111-4111-8111-111111111111"


def register(hub, dfsp, party=MSISDN):
    body = {"fspId": dfsp.fsp_id, "currency": "KES"}
    return hub.receive(dfsp.message("POST", "/participants" + party, body))


def refusal_of(hub, message):
    with pytest.raises(FspiopRefusalError) as refused:
        hub.receive(message)
    return refused.value.error_code


def test_registration_is_answered_by_the_switch_and_repeatable(hub, rhino):
    for _ in range(2):
        [message] = register(hub, rhino)
        assert (message.method, message.path, message.destination) == (
            "PUT",
            "/participants" + MSISDN,
            "rhino",
        )
        assert json.loads(message.body) == {"fspId": "rhino"}
        lower = {name.lower(): value for name, value in message.headers.items()}
        key = load_public_key(hub.context.voice.public_key_pem)
        verify(message.body, lower, message.path, "PUT", key)
    assert hub.context.conversations.total == 0


def test_a_party_belongs_to_one_dfsp(hub, rhino, lion):
    register(hub, rhino)
    [message] = register(hub, lion)
    assert message.path == "/participants" + MSISDN + "/error"
    assert json.loads(message.body)["errorInformation"]["errorCode"] == "3003"


def test_nobody_registers_for_another(hub, rhino):
    message = rhino.message("POST", "/participants" + MSISDN, {"fspId": "lion"})
    assert refusal_of(hub, message) == "3100"


def test_lookup_forwards_to_the_owner_and_the_answer_back(hub, buffalo, rhino):
    register(hub, rhino)
    [asked] = hub.receive(buffalo.message("GET", "/parties" + MSISDN))
    assert (asked.destination, asked.headers["FSPIOP-Destination"]) == ("rhino", "rhino")
    assert (asked.headers["FSPIOP-Source"], asked.body) == ("buffalo", b"")
    party = {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700300001", "fspId": "rhino"}}
    answer = rhino.message("PUT", "/parties" + MSISDN, {"party": party}, to="buffalo")
    [answered] = hub.receive(answer)
    assert (answered.destination, answered.body) == ("buffalo", answer.body)
    assert answered.headers["FSPIOP-Signature"] == answer.headers["fspiop-signature"]


def test_an_unknown_party_is_3204(hub, buffalo):
    [message] = hub.receive(buffalo.message("GET", "/parties/MSISDN/1"))
    assert (message.destination, message.path) == ("buffalo", "/parties/MSISDN/1/error")
    assert json.loads(message.body)["errorInformation"]["errorCode"] == "3204"


def test_sub_ids_are_parties_of_their_own(hub, buffalo, rhino):
    register(hub, rhino, "/BUSINESS/shop/till-1")
    [found] = hub.receive(buffalo.message("GET", "/parties/BUSINESS/shop/till-1"))
    [missed] = hub.receive(buffalo.message("GET", "/parties/BUSINESS/shop"))
    assert (found.destination, missed.path) == ("rhino", "/parties/BUSINESS/shop/error")


def test_percent_encoded_identifiers_stay_as_they_were_signed(hub, buffalo, rhino):
    register(hub, rhino, "/ALIAS/a%20b")
    [asked] = hub.receive(buffalo.message("GET", "/parties/ALIAS/a%20b"))
    assert (asked.destination, asked.path) == ("rhino", "/parties/ALIAS/a%20b")


def test_nobody_answers_for_a_party_of_another(hub, lion, rhino):
    register(hub, rhino)
    party = {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700300001", "fspId": "lion"}}
    error = {"errorInformation": {"errorCode": "3204", "errorDescription": "no such member"}}
    for path, body in (("/parties" + MSISDN, {"party": party}), ("/parties" + MSISDN + "/error", error)):
        assert refusal_of(hub, lion.message("PUT", path, body, to="buffalo")) == "3003"


def test_errors_about_parties_and_quotes_travel_unchanged(hub, rhino):
    register(hub, rhino)
    body = {"errorInformation": {"errorCode": "3204", "errorDescription": "no such member"}}
    for path in ("/parties" + MSISDN + "/error", f"/quotes/{QUOTE_ID}/error"):
        message = rhino.message("PUT", path, body, to="buffalo")
        [forwarded] = hub.receive(message)
        assert (forwarded.path, forwarded.body) == (path, message.body)


def test_quotes_travel_unchanged(hub, buffalo, rhino):
    request, response = buffalo.quote(), rhino.quoted()
    [asked], [answered] = hub.receive(request), hub.receive(response)
    assert (asked.destination, asked.body) == ("rhino", request.body)
    assert (answered.destination, answered.body) == ("buffalo", response.body)
    [queried] = hub.receive(buffalo.message("GET", f"/quotes/{QUOTE_ID}", to="rhino"))
    assert queried.destination == "rhino"


def test_a_quote_for_nobody_is_3201(hub, buffalo, rhino):
    [message] = hub.receive(buffalo.quote(payee="nobody"))
    assert (message.destination, message.path) == ("buffalo", f"/quotes/{QUOTE_ID}/error")
    assert json.loads(message.body)["errorInformation"]["errorCode"] == "3201"
    assert refusal_of(hub, rhino.quoted(payer="nobody")) == "3201"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content_Type": ""}, "3102"),
        ({"Date": ""}, "3102"),
        ({"Accept": ""}, "3102"),
        ({"FSPIOP_Source": ""}, "3102"),
        ({"Date": "yesterday"}, "3101"),
        ({"Content_Type": "application/json"}, "3101"),
        ({"Content_Type": "application/vnd.interoperability.quotes+json;version=1.1"}, "3101"),
        ({"Content_Type": "application/vnd.interoperability.parties+json"}, "3101"),
        ({"Content_Type": "application/vnd.interoperability.parties+json;version=1.2"}, "3001"),
        ({"Accept": "application/vnd.interoperability.parties+json;version=3"}, "3001"),
        ({"Accept": "text/html"}, "3101"),
        ({"FSPIOP_Source": "nobody"}, "3200"),
    ],
)
def test_header_refusals(hub, buffalo, headers, code):
    assert refusal_of(hub, buffalo.message("GET", "/parties/MSISDN/1", **headers)) == code


def test_any_listed_or_missing_version_may_be_accepted(hub, buffalo):
    media = "application/vnd.interoperability.parties+json"
    accept = f"{media};version=2,{media}"
    assert hub.receive(buffalo.message("GET", "/parties/MSISDN/1", Accept=accept))


def test_destination_is_mandatory_for_answers(hub, rhino):
    assert refusal_of(hub, rhino.quoted(payer="")) == "3102"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/parties/MSISDN"),
        ("GET", "/parties/PHONE/1"),
        ("PATCH", f"/transfers/{QUOTE_ID}"),
        ("DELETE", "/quotes/1"),
        ("GET", "/"),
        ("GET", "/parties/MSISDN//"),
        ("GET", f"/transfers/{QUOTE_ID}/error"),
    ],
)
def test_unknown_operations_are_3002(hub, buffalo, method, path):
    assert refusal_of(hub, buffalo.message(method, path)) == "3002"


def test_bodies_that_are_no_json_or_incomplete(hub, buffalo):
    assert refusal_of(hub, buffalo.message("POST", "/quotes", {}, to="rhino")) == "3102"


def test_signatures_are_checked(hub, buffalo, lion):
    prepare = buffalo.prepare()
    unsigned = buffalo.message("POST", "/transfers", json.loads(prepare.body), to="rhino", signed=False)
    assert refusal_of(hub, unsigned) == "3105"
    forged = lion.message("POST", "/transfers", json.loads(prepare.body), to="rhino", FSPIOP_Source="buffalo")
    assert refusal_of(hub, forged) == "3105"
    assert hub.clearing.book.all() == []
