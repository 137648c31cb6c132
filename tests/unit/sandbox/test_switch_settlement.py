import base64
import json

import pytest

from payhub_platform.security.jws import load_public_key, verify
from payhub_sandbox.switch.condition import opens
from payhub_sandbox.switch.refusal import FspiopRefusalError
from payhub_sandbox.switch.transfers import TransferBook
from payhub_sandbox.switch.weather import Rule

TRANSFER_ID = "11111111-1111-4111-8111-111111111111"
OTHER_ID = "22222222-2222-4222-8222-222222222222"
PAYEE_MSISDN = "254700300001"


def told(messages):
    """What each DFSP is told: (destination, method, path's last part, state or error code)."""
    rows = []
    for message in messages:
        body = json.loads(message.body)
        said = body.get("transferState") or body.get("errorInformation", {}).get("errorCode") or "body"
        rows.append((message.destination, message.method, message.path.rpartition("/")[2], said))
    return rows


def state(hub, transfer_id=TRANSFER_ID):
    return hub.clearing.book.get(transfer_id).state


def test_prepare_reserves_and_forwards_the_same_bytes(hub, buffalo, position):
    incoming = buffalo.prepare()
    [message] = hub.receive(incoming)
    assert (message.destination, message.method, message.path) == ("rhino", "POST", "/transfers")
    assert message.body is incoming.body
    lower = {name.lower(): value for name, value in message.headers.items()}
    verify(message.body, lower, message.path, "POST", hub.context.participants.get("buffalo").public_key)
    assert lower["traceparent"] == incoming.trace
    assert position("buffalo") == (0, 10_000)


def test_reserved_by_the_payee_is_told_by_the_switch_to_both(hub, buffalo, rhino, position):
    hub.receive(buffalo.prepare())
    messages = hub.receive(rhino.fulfil("RESERVED"))
    assert told(messages) == [
        ("buffalo", "PUT", TRANSFER_ID, "COMMITTED"),
        ("rhino", "PATCH", TRANSFER_ID, "COMMITTED"),
    ]
    to_payer, to_payee = (json.loads(message.body) for message in messages)
    assert opens(hub.clearing.book.get(TRANSFER_ID).condition, to_payer["fulfilment"])
    assert to_payer["completedTimestamp"] == to_payee["completedTimestamp"]
    switch_key = load_public_key(hub.context.voice.public_key_pem)
    for message in messages:
        lower = {name.lower(): value for name, value in message.headers.items()}
        assert lower["fspiop-source"] == "switch"
        verify(message.body, lower, message.path, message.method, switch_key)
    assert position("buffalo") == (10_000, 0)
    assert position("rhino") == (-10_000, 0)


def test_committed_by_the_payee_travels_unchanged(hub, buffalo, rhino):
    hub.receive(buffalo.prepare())
    incoming = rhino.fulfil("COMMITTED")
    [message] = hub.receive(incoming)
    assert message.destination == "buffalo"
    assert message.body is incoming.body
    assert message.headers["FSPIOP-Source"] == "rhino"


def test_a_wrong_fulfilment_aborts_and_moves_nothing(hub, buffalo, rhino, position):
    hub.receive(buffalo.prepare())
    wrong = base64.urlsafe_b64encode(b"x" * 32).rstrip(b"=").decode()
    messages = hub.receive(rhino.fulfil("RESERVED", wrong))
    assert told(messages) == [
        ("buffalo", "PUT", "error", "5000"),
        ("rhino", "PATCH", TRANSFER_ID, "ABORTED"),
    ]
    assert position("buffalo") == position("rhino") == (0, 0)
    assert state(hub) == "ABORTED"


@pytest.mark.parametrize(
    ("said", "payee_hears"),
    [
        ("RESERVED", ("rhino", "PATCH", TRANSFER_ID, "ABORTED")),
        ("COMMITTED", ("rhino", "PUT", "error", "3303")),
    ],
)
def test_a_late_fulfil_aborts(hub, buffalo, rhino, clock, position, said, payee_hears):
    hub.receive(buffalo.prepare(ttl_ms=1_000))
    clock.now_ms += 1_001
    assert told(hub.receive(rhino.fulfil(said))) == [("buffalo", "PUT", "error", "3303"), payee_hears]
    assert position("buffalo") == (0, 0)
    assert hub.expire() == []


def test_time_expires_a_reserved_transfer_and_tells_both(hub, buffalo, rhino, clock, position):
    hub.receive(buffalo.prepare(ttl_ms=1_000))
    clock.now_ms += 1_000
    assert hub.expire() == []
    clock.now_ms += 1
    assert told(hub.expire()) == [("buffalo", "PUT", "error", "3303"), ("rhino", "PUT", "error", "3303")]
    assert position("buffalo") == (0, 0)
    assert told(hub.receive(rhino.fulfil("RESERVED"))) == [("rhino", "PATCH", TRANSFER_ID, "ABORTED")]
    assert hub.expire() == []


def test_expiry_in_the_past_is_3303_and_stays_so(hub, buffalo, position):
    again = buffalo.prepare(ttl_ms=-1)
    for _ in range(2):
        assert told(hub.receive(again)) == [("buffalo", "PUT", "error", "3303")]
    assert position("buffalo") == (0, 0)


def test_the_net_debit_cap_counts_what_is_reserved(hub, buffalo, position):
    hub.receive(buffalo.prepare(amount="900"))
    assert told(hub.receive(buffalo.prepare(transfer_id=OTHER_ID, amount="100.01"))) == [
        ("buffalo", "PUT", "error", "4001")
    ]
    third = "33333333-3333-4333-8333-333333333333"
    assert told(hub.receive(buffalo.prepare(transfer_id=third, amount="100")))[0][0] == "rhino"
    assert position("buffalo") == (0, 100_000)


def test_repeats_of_a_prepare(hub, buffalo, rhino, position):
    prepare = buffalo.prepare()
    hub.receive(prepare)
    assert hub.receive(prepare) == []
    assert told(hub.receive(buffalo.prepare(amount="101"))) == [("buffalo", "PUT", "error", "3106")]
    hub.receive(rhino.fulfil("RESERVED"))
    assert told(hub.receive(prepare)) == [("buffalo", "PUT", TRANSFER_ID, "COMMITTED")]
    assert position("buffalo") == (10_000, 0)


def test_repeats_of_a_fulfil_commit_once(hub, buffalo, rhino, position):
    hub.receive(buffalo.prepare())
    hub.receive(rhino.fulfil("RESERVED"))
    assert told(hub.receive(rhino.fulfil("RESERVED"))) == [("rhino", "PATCH", TRANSFER_ID, "COMMITTED")]
    assert position("buffalo") == (10_000, 0)
    assert position("rhino") == (-10_000, 0)


def test_an_error_of_the_payee_releases_and_travels_unchanged(hub, buffalo, rhino, position):
    hub.receive(buffalo.prepare())
    body = {"errorInformation": {"errorCode": "5104", "errorDescription": "no"}}
    failed = rhino.message("PUT", f"/transfers/{TRANSFER_ID}/error", body, to="buffalo")
    [message] = hub.receive(failed)
    assert (message.destination, message.body) == ("buffalo", failed.body)
    assert position("buffalo") == (0, 0)
    assert hub.receive(failed) == []
    assert told(hub.receive(buffalo.message("GET", f"/transfers/{TRANSFER_ID}", to="rhino"))) == [
        ("buffalo", "PUT", TRANSFER_ID, "ABORTED")
    ]


def test_an_error_after_the_commit_changes_nothing(hub, buffalo, rhino):
    hub.receive(buffalo.prepare())
    hub.receive(rhino.fulfil("RESERVED"))
    body = {"errorInformation": {"errorCode": "5104", "errorDescription": "no"}}
    failed = rhino.message("PUT", f"/transfers/{TRANSFER_ID}/error", body, to="buffalo")
    assert told(hub.receive(failed)) == [("rhino", "PATCH", TRANSFER_ID, "COMMITTED")]
    assert state(hub) == "COMMITTED"


def test_get_tells_each_state_to_payer_and_payee_only(hub, buffalo, rhino, lion):
    def ask(dfsp, transfer_id=TRANSFER_ID):
        return told(hub.receive(dfsp.message("GET", f"/transfers/{transfer_id}", to="switch")))

    assert ask(buffalo) == [("buffalo", "PUT", "error", "3208")]
    hub.receive(buffalo.prepare())
    assert ask(buffalo) == [("buffalo", "PUT", TRANSFER_ID, "RESERVED")]
    hub.receive(rhino.fulfil("RESERVED"))
    assert ask(buffalo) == [("buffalo", "PUT", TRANSFER_ID, "COMMITTED")]
    assert ask(rhino) == [("rhino", "PUT", TRANSFER_ID, "COMMITTED")]
    assert ask(lion) == [("lion", "PUT", "error", "3208")]


def test_only_the_payee_fulfils(hub, buffalo, lion, position):
    hub.receive(buffalo.prepare())
    for dfsp in (buffalo, lion):
        assert told(hub.receive(dfsp.fulfil("COMMITTED"))) == [(dfsp.fsp_id, "PUT", "error", "3208")]
    assert position("buffalo") == (0, 10_000)


def test_unknown_payee_and_foreign_currency(hub, buffalo):
    assert told(hub.receive(buffalo.prepare(payee="nobody"))) == [("buffalo", "PUT", "error", "3203")]
    dollars = {"currency": "USD", "amount": "1"}
    prepare = buffalo.message(
        "POST",
        "/transfers",
        json.loads(buffalo.prepare(transfer_id=OTHER_ID).body) | {"amount": dollars},
        to="rhino",
    )
    assert told(hub.receive(prepare)) == [("buffalo", "PUT", "error", "3100")]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"amount": {"currency": "KES", "amount": "1.50"}}, "3100"),
        ({"amount": {"currency": "KES", "amount": "0"}}, "3100"),
        ({"amount": {"currency": "KES", "amount": "-1"}}, "3100"),
        ({"amount": {"currency": "KES", "amount": "1.001"}}, "3100"),
        ({"amount": {"currency": "QQQ", "amount": "1"}}, "3100"),
        ({"amount": {"currency": "KES"}}, "3102"),
        ({"transferId": "0198a7c0-0000-7000-8000-000000000000"}, "3100"),
        ({"expiration": "2026-01-01T00:00:00Z"}, "3100"),
        ({"expiration": "2026-13-01T00:00:00.000Z"}, "3100"),
        ({"condition": "short"}, "3100"),
        ({"payerFsp": "lion"}, "3100"),
        ({"payeeFsp": "lion"}, "3100"),
    ],
)
def test_prepares_that_are_refused_at_once(hub, buffalo, fields, code):
    body = json.loads(buffalo.prepare().body) | fields
    with pytest.raises(FspiopRefusalError) as refused:
        hub.receive(buffalo.message("POST", "/transfers", body, to="rhino"))
    assert refused.value.error_code == code
    assert hub.clearing.book.all() == []


def test_a_lost_fulfil_is_found_by_asking(hub, buffalo, rhino):
    hub.context.weather.set_rule(Rule(payee_identifier=PAYEE_MSISDN, drop_transfer_fulfil_times=1))
    hub.receive(buffalo.quote())
    hub.receive(rhino.quoted())
    hub.receive(buffalo.prepare())
    assert told(hub.receive(rhino.fulfil("RESERVED"))) == [("rhino", "PATCH", TRANSFER_ID, "COMMITTED")]
    asked = buffalo.message("GET", f"/transfers/{TRANSFER_ID}", to="switch")
    assert told(hub.receive(asked)) == [("buffalo", "PUT", TRANSFER_ID, "COMMITTED")]


def test_delays_and_duplicates_follow_the_payee_identifier(hub, buffalo, rhino):
    rule = Rule(
        payee_identifier=PAYEE_MSISDN, delay_quote_ms=50, delay_transfer_ms=70, duplicate_callbacks=True
    )
    hub.context.weather.set_rule(rule)
    [asked] = hub.receive(buffalo.quote())
    [quoted] = hub.receive(rhino.quoted())
    [prepared] = hub.receive(buffalo.prepare())
    fulfilled = hub.receive(rhino.fulfil("RESERVED"))
    assert [(one.delay_ms, one.copies) for one in (asked, quoted, prepared, *fulfilled)] == [
        (0, 2),
        (50, 2),
        (70, 2),
        (0, 2),
        (0, 2),
    ]


def test_the_book_forgets_finished_transfers_and_never_one_under_way(hub, buffalo, rhino):
    hub.clearing.book = TransferBook(hub.context.participants, hub.windows, capacity=1)
    hub.receive(buffalo.prepare())
    with pytest.raises(FspiopRefusalError) as refused:
        hub.receive(buffalo.prepare(transfer_id=OTHER_ID))
    assert (refused.value.error_code, refused.value.http_status) == ("2003", 503)
    hub.receive(rhino.fulfil("RESERVED"))
    hub.receive(buffalo.prepare(transfer_id=OTHER_ID))
    assert [one.transfer_id for one in hub.clearing.book.all()] == [OTHER_ID]
