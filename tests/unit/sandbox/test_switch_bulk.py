import base64
import hashlib
import json

import pytest

from payhub_platform.clock import iso
from payhub_sandbox.switch.refusal import FspiopRefusalError

BULK = "55555555-5555-4555-8555-555555555555"
OTHER = "66666666-6666-4666-8666-666666666666"
SECRETS = [bytes([number]) * 32 for number in range(1, 4)]
IDS = [f"7777777{number}-7777-4777-8777-777777777777" for number in range(3)]


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def bulk(dfsp, clock, amounts=("100", "200", "300"), bulk_id=BULK, ids=IDS, **change):
    transfers = [
        {
            "transferId": key,
            "transferAmount": {"currency": "KES", "amount": amount},
            "ilpPacket": "AYIB",
            "condition": encoded(hashlib.sha256(secret).digest()),
        }
        for key, amount, secret in zip(ids, amounts, SECRETS, strict=False)
    ]
    body = {
        "bulkTransferId": bulk_id,
        "bulkQuoteId": OTHER,
        "payerFsp": dfsp.fsp_id,
        "payeeFsp": "rhino",
        "individualTransfers": transfers,
        "expiration": iso(clock() + 30_000),
        **change,
    }
    return dfsp.message("POST", "/bulkTransfers", body, to="rhino")


def results(dfsp, outcomes, state="COMPLETED"):
    rows = []
    for key, secret, outcome in zip(IDS, SECRETS, outcomes, strict=True):
        if outcome == "fulfilled":
            rows.append({"transferId": key, "fulfilment": encoded(secret)})
        elif outcome == "wrong":
            rows.append({"transferId": key, "fulfilment": encoded(b"x" * 32)})
        elif outcome == "error":
            error = {"errorCode": "5104", "errorDescription": "no"}
            rows.append({"transferId": key, "errorInformation": error})
    body = {"bulkTransferState": state, "individualTransferResults": rows}
    return dfsp.message("PUT", f"/bulkTransfers/{BULK}", body, to="buffalo")


def states(hub):
    return [hub.clearing.book.get(key).state for key in IDS]


def code_of(message):
    return json.loads(message.body)["errorInformation"]["errorCode"]


def test_a_bulk_is_reserved_together_and_passed_on(hub, buffalo, clock, position):
    incoming = bulk(buffalo, clock)
    [message] = hub.receive(incoming)
    assert (message.destination, message.body) == ("rhino", incoming.body)
    assert position("buffalo") == (0, 60_000)
    assert hub.receive(incoming) == []  # a repeat while it is under way
    assert position("buffalo") == (0, 60_000)


def test_each_transfer_of_it_ends_for_itself(hub, buffalo, rhino, clock, position):
    hub.receive(bulk(buffalo, clock))
    incoming = results(rhino, ["fulfilled", "error", "fulfilled"])
    [message] = hub.receive(incoming)
    assert (message.destination, message.body) == ("buffalo", incoming.body)
    assert states(hub) == ["COMMITTED", "ABORTED", "COMMITTED"]
    assert (position("buffalo"), position("rhino")) == ((40_000, 0), (-40_000, 0))
    assert hub.receive(incoming) == []
    assert position("buffalo") == (40_000, 0)
    [again] = hub.receive(bulk(buffalo, clock))
    told = json.loads(again.body)
    assert told["bulkTransferState"] == "COMPLETED"
    assert ["fulfilment" in one for one in told["individualTransferResults"]] == [True, False, True]


def test_what_the_payee_got_wrong_is_told_by_the_switch(hub, buffalo, rhino, clock, position):
    hub.receive(bulk(buffalo, clock))
    [message] = hub.receive(results(rhino, ["wrong", "missing", "fulfilled"]))
    assert message.headers["FSPIOP-Source"] == "switch"
    rows = json.loads(message.body)["individualTransferResults"]
    assert [one.get("errorInformation", {}).get("errorCode") for one in rows] == ["5000", "5000", None]
    assert position("buffalo") == (30_000, 0)


def test_a_malformed_fulfilment_refuses_the_whole_message(hub, buffalo, rhino, clock):
    hub.receive(bulk(buffalo, clock))
    body = json.loads(results(rhino, ["fulfilled", "fulfilled", "fulfilled"]).body)
    body["individualTransferResults"][2]["fulfilment"] = "short"
    with pytest.raises(FspiopRefusalError, match="3100"):
        hub.receive(rhino.message("PUT", f"/bulkTransfers/{BULK}", body, to="buffalo"))
    assert states(hub) == ["RESERVED"] * 3


def test_interim_states_move_nothing_and_a_rejection_gives_all_back(hub, buffalo, rhino, clock, position):
    hub.receive(bulk(buffalo, clock))
    [message] = hub.receive(results(rhino, ["missing"] * 3, "PROCESSING"))
    assert (message.destination, position("buffalo")) == ("buffalo", (0, 60_000))
    hub.receive(results(rhino, ["fulfilled"] * 3, "REJECTED"))
    assert (states(hub), position("buffalo")) == (["ABORTED"] * 3, (0, 0))


def test_an_error_of_the_payee_gives_all_back(hub, buffalo, rhino, clock, position):
    hub.receive(bulk(buffalo, clock))
    error = {"errorInformation": {"errorCode": "5105", "errorDescription": "no"}}
    [message] = hub.receive(rhino.message("PUT", f"/bulkTransfers/{BULK}/error", error, to="buffalo"))
    assert (message.path, code_of(message)) == (f"/bulkTransfers/{BULK}/error", "5105")
    assert position("buffalo") == (0, 0)
    late = hub.receive(results(rhino, ["fulfilled"] * 3))
    assert [one.destination for one in late] == ["rhino"]
    assert position("buffalo") == (0, 0)


def test_a_bulk_expires_as_one(hub, buffalo, rhino, clock, position):
    hub.receive(bulk(buffalo, clock))
    clock.now_ms += 30_001
    messages = hub.expire()
    assert [(one.destination, code_of(one)) for one in messages] == [("buffalo", "3303"), ("rhino", "3303")]
    assert (states(hub), position("buffalo"), hub.expire()) == (["ABORTED"] * 3, (0, 0), [])
    [told] = hub.receive(results(rhino, ["fulfilled"] * 3))
    assert (told.destination, code_of(told)) == ("rhino", "3303")
    assert position("buffalo") == (0, 0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amounts": ("500", "400", "200")}, "4001"),
        ({"bulk_id": OTHER}, "3106"),
        ({"payeeFsp": "nobody"}, "3100"),
    ],
)
def test_bulks_that_are_refused_reserve_nothing(hub, buffalo, clock, position, change, code):
    if "bulk_id" in change:
        hub.receive(bulk(buffalo, clock))
    before = position("buffalo")
    if code == "3100":
        with pytest.raises(FspiopRefusalError, match=code):
            hub.receive(bulk(buffalo, clock, **change))
    else:
        [message] = hub.receive(bulk(buffalo, clock, **change))
        assert code_of(message) == code
    assert position("buffalo") == before


@pytest.mark.parametrize("ids", [[], [IDS[0]] * 2, ["x"]])
def test_malformed_bulks_are_refused(hub, buffalo, clock, ids):
    with pytest.raises(FspiopRefusalError, match="310"):
        hub.receive(bulk(buffalo, clock, ids=ids))


def test_a_bulk_is_asked_for_by_its_two_sides_only(hub, buffalo, rhino, lion, clock):
    hub.receive(bulk(buffalo, clock))
    for dfsp, told in ((buffalo, "RECEIVED"), (rhino, "RECEIVED"), (lion, None)):
        [message] = hub.receive(dfsp.message("GET", f"/bulkTransfers/{BULK}"))
        assert message.destination == dfsp.fsp_id
        if told is None:
            assert code_of(message) == "3210"
        else:
            assert json.loads(message.body) == {"bulkTransferState": told}
    single = {"fulfilment": encoded(SECRETS[0]), "transferState": "COMMITTED"}
    [message] = hub.receive(rhino.message("PUT", f"/transfers/{IDS[0]}", single, to="buffalo"))
    assert code_of(message) == "3208"  # one of a bulk ends with the bulk
