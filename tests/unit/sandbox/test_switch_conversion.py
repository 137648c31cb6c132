import base64
import hashlib
import json

import pytest

from payhub_platform.clock import iso
from payhub_platform.money import Money
from payhub_platform.security.jws import public_pem
from payhub_sandbox.switch import rates
from payhub_sandbox.switch.participants import Registration
from payhub_sandbox.switch.refusal import FspiopRefusalError

TRANSFER = "11111111-1111-4111-8111-111111111111"
COMMIT = "88888888-8888-4888-8888-888888888888"
OTHER = "99999999-9999-4999-8999-999999999999"
SECRET = b"c" * 32


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
def scheme(hub, key_pems):
    """Lion is the provider; buffalo pays in KES, rhino is paid in TZS."""
    for fsp in ("lion", "rhino"):
        hub.context.participants.register(
            Registration(
                fsp_id=fsp,
                currency="TZS",
                callback_urls=[f"http://{fsp}"],
                public_key_pem=public_pem(key_pems[fsp]),
                net_debit_cap="50000.00",
            )
        )
    return hub


@pytest.fixture
def positions(scheme):
    def read():
        return {
            (one.fsp_id, position.currency): (position.position, position.reserved)
            for one in scheme.context.participants.all()
            for position in one.positions.values()
            if position.position or position.reserved
        }

    return read


def conversion(dfsp, clock, commit_id=COMMIT, **change):
    body = {
        "commitRequestId": commit_id,
        "determiningTransferId": TRANSFER,
        "initiatingFsp": dfsp.fsp_id,
        "counterPartyFsp": "lion",
        "sourceAmount": {"currency": "KES", "amount": "100"},
        "targetAmount": {"currency": "TZS", "amount": "2000"},
        "condition": encoded(hashlib.sha256(SECRET).digest()),
        "expiration": iso(clock() + 40_000),
        **change,
    }
    return dfsp.message("POST", "/fxTransfers", body, to="lion", version="2.0")


def reserved(dfsp, secret=SECRET, commit_id=COMMIT):
    body = {"fulfilment": encoded(secret), "conversionState": "RESERVED"}
    return dfsp.message("PUT", f"/fxTransfers/{commit_id}", body, to="buffalo", version="2.0")


def payment(dfsp):
    body = json.loads(dfsp.prepare().body) | {"amount": {"currency": "TZS", "amount": "2000"}}
    return dfsp.message("POST", "/transfers", body, to="rhino", version="2.0")


def said(messages):
    rows = []
    for message in messages:
        body = json.loads(message.body)
        words = body.get("transferState") or body.get("conversionState")
        rows.append((message.destination, message.method, words or body["errorInformation"]["errorCode"]))
    return rows


def test_a_conversion_is_committed_with_its_transfer(scheme, buffalo, lion, rhino, clock, positions):
    [message] = scheme.receive(conversion(buffalo, clock))
    assert (message.destination, positions()) == ("lion", {("buffalo", "KES"): (0, 10_000)})
    [message] = scheme.receive(reserved(lion))
    assert (message.destination, message.body) == ("buffalo", reserved(lion).body)
    [message] = scheme.receive(payment(buffalo))
    assert message.destination == "rhino"
    assert positions() == {("buffalo", "KES"): (0, 10_000), ("lion", "TZS"): (0, 200_000)}
    messages = scheme.receive(rhino.fulfil("RESERVED"))
    assert said(messages) == [
        ("buffalo", "PUT", "COMMITTED"),
        ("rhino", "PATCH", "COMMITTED"),
        ("lion", "PATCH", "COMMITTED"),
    ]
    assert positions() == {
        ("buffalo", "KES"): (10_000, 0),
        ("lion", "KES"): (-10_000, 0),
        ("lion", "TZS"): (200_000, 0),
        ("rhino", "TZS"): (-200_000, 0),
    }


@pytest.mark.parametrize("end", ["error", "expiry", "wrong"])
def test_a_transfer_that_fails_takes_its_conversion_along(
    scheme, buffalo, lion, rhino, clock, positions, end
):
    for message in (conversion(buffalo, clock), reserved(lion), payment(buffalo)):
        scheme.receive(message)
    if end == "expiry":
        clock.now_ms += 30_001
        messages = scheme.expire()
    elif end == "wrong":
        messages = scheme.receive(rhino.fulfil("RESERVED", fulfilment=encoded(b"x" * 32)))
    else:
        error = {"errorInformation": {"errorCode": "5104", "errorDescription": "no"}}
        messages = scheme.receive(rhino.message("PUT", f"/transfers/{TRANSFER}/error", error, to="buffalo"))
    assert ("lion", "PATCH", "ABORTED") in said(messages)
    assert positions() == {}


def test_a_conversion_does_not_expire_under_a_transfer_under_way(
    scheme, buffalo, lion, rhino, clock, positions
):
    soon = iso(clock() + 10_000)
    for message in (conversion(buffalo, clock, expiration=soon), reserved(lion), payment(buffalo)):
        scheme.receive(message)
    clock.now_ms += 20_000
    assert scheme.expire() == []
    scheme.receive(rhino.fulfil("RESERVED"))
    assert positions()["lion", "KES"] == (-10_000, 0)
    clock.now_ms += 60_000
    assert scheme.expire() == []


def test_without_a_transfer_a_conversion_expires(scheme, buffalo, lion, clock, positions):
    scheme.receive(conversion(buffalo, clock))
    scheme.receive(reserved(lion))
    clock.now_ms += 40_001
    assert said(scheme.expire()) == [("buffalo", "PUT", "3303"), ("lion", "PATCH", "ABORTED")]
    assert positions() == {}
    [told] = scheme.receive(payment(buffalo))
    assert said([told]) == [("buffalo", "PUT", "3100")]  # buffalo has no position in TZS itself


def test_a_conversion_without_a_transfer_is_final_by_itself(scheme, buffalo, lion, clock, positions):
    message = conversion(buffalo, clock)
    body = json.loads(message.body)
    del body["determiningTransferId"]
    scheme.receive(buffalo.message("POST", "/fxTransfers", body, to="lion", version="2.0"))
    assert said(scheme.receive(reserved(lion))) == [
        ("buffalo", "PUT", "COMMITTED"),
        ("lion", "PATCH", "COMMITTED"),
    ]
    assert positions() == {("buffalo", "KES"): (10_000, 0), ("lion", "KES"): (-10_000, 0)}
    assert said(scheme.receive(reserved(lion))) == [("lion", "PATCH", "COMMITTED")]


def test_repeats_changes_and_a_second_conversion(scheme, buffalo, lion, clock, positions):
    scheme.receive(conversion(buffalo, clock))
    assert scheme.receive(conversion(buffalo, clock)) == []
    other = {"targetAmount": {"currency": "TZS", "amount": "1"}}
    assert said(scheme.receive(conversion(buffalo, clock, **other))) == [("buffalo", "PUT", "3106")]
    assert said(scheme.receive(conversion(buffalo, clock, commit_id=OTHER))) == [("buffalo", "PUT", "3106")]
    scheme.receive(reserved(lion))
    assert said(scheme.receive(conversion(buffalo, clock))) == [("buffalo", "PUT", "RESERVED")]
    assert positions() == {("buffalo", "KES"): (0, 10_000)}


def test_a_wrong_fulfilment_or_an_error_gives_the_source_back(scheme, buffalo, lion, clock, positions):
    scheme.receive(conversion(buffalo, clock))
    assert said(scheme.receive(reserved(lion, secret=b"x" * 32))) == [
        ("buffalo", "PUT", "5000"),
        ("lion", "PATCH", "ABORTED"),
    ]
    scheme.receive(conversion(buffalo, clock, commit_id=OTHER))
    error = {"errorInformation": {"errorCode": "5200", "errorDescription": "no"}}
    message = lion.message("PUT", f"/fxTransfers/{OTHER}/error", error, to="buffalo", version="2.0")
    assert said(scheme.receive(message)) == [("buffalo", "PUT", "5200")]
    assert positions() == {}


def test_nobody_else_fulfils_or_asks(scheme, buffalo, rhino, lion, clock):
    scheme.receive(conversion(buffalo, clock))
    assert said(scheme.receive(reserved(rhino))) == [("rhino", "PUT", "3208")]
    for dfsp, told in ((buffalo, "RESERVED"), (lion, "RESERVED"), (rhino, "3208")):
        query = dfsp.message("GET", f"/fxTransfers/{COMMIT}", version="2.0")
        assert said(scheme.receive(query)) == [(dfsp.fsp_id, "PUT", told)]
    with pytest.raises(FspiopRefusalError, match="3100"):
        scheme.receive(conversion(buffalo, clock, initiatingFsp="lion"))


def test_the_cap_holds_for_the_source_and_for_the_provider(scheme, buffalo, lion, clock):
    dear = {"sourceAmount": {"currency": "KES", "amount": "2000"}}
    assert said(scheme.receive(conversion(buffalo, clock, **dear))) == [("buffalo", "PUT", "4001")]
    scheme.context.participants.position("lion", "TZS").net_debit_cap = 199_999
    scheme.receive(conversion(buffalo, clock, commit_id=OTHER))
    scheme.receive(reserved(lion, commit_id=OTHER))
    messages = scheme.receive(payment(buffalo))
    assert said(messages) == [("buffalo", "PUT", "4001"), ("lion", "PATCH", "ABORTED")]


def test_providers_are_named_where_there_is_a_rate(scheme, buffalo, key_pems):
    scheme.context.participants.register(
        Registration(
            fsp_id=rates.FXP_ID,
            currency="KES",
            callback_urls=["http://fxp"],
            public_key_pem=public_pem(key_pems["lion"]),
            net_debit_cap="1.00",
        )
    )
    for path, named in (
        ("/services/FXP", ["fxp"]),
        ("/services/FXP/KES/TZS", ["fxp"]),
        ("/services/FXP/KES/EUR", []),
    ):
        [message] = scheme.receive(buffalo.message("GET", path, version="2.0"))
        assert (message.path, json.loads(message.body)) == (path, {"providers": named})


def test_rates_round_for_the_provider():
    assert rates.target_of(Money(10_001, "KES"), "TZS") == Money(200_020, "TZS")
    assert rates.target_of(Money(199, "KES"), "USD") == Money(1, "USD")
    assert rates.source_of(Money(1, "USD"), "KES") == Money(134, "KES")
    assert rates.target_of(Money(100, "KES"), "UGX") == Money(28, "UGX")
    assert rates.target_of(Money(1, "KES"), "EUR") is None
    assert rates.source_of(Money(1, "EUR"), "KES") is None
