import json

import pytest

from payhub_platform.errors import ConflictError, InvalidInputError, NotFoundError
from payhub_platform.security.jws import public_pem
from payhub_sandbox.switch.participants import Limit, Registration

IDS = [f"1111111{number}-1111-4111-8111-111111111111" for number in range(9)]


def pay(hub, payer, payee, number, amount="100"):
    hub.receive(payer.prepare(payee=payee.fsp_id, transfer_id=IDS[number], amount=amount))
    return hub.receive(payee.fulfil("COMMITTED", payer=payer.fsp_id, transfer_id=IDS[number]))


def refused(hub, payer, number, **change):
    [message] = hub.receive(payer.prepare(transfer_id=IDS[number], **change))
    body = json.loads(message.body)
    return body["errorInformation"]["errorCode"] if "errorInformation" in body else None


def test_a_window_is_closed_and_settled(hub, buffalo, rhino, lion, position, clock):
    pay(hub, buffalo, rhino, 0)
    pay(hub, rhino, lion, 1, "30")
    closed = hub.windows.close(1, clock())
    pay(hub, buffalo, lion, 2, "5")
    net = {"buffalo": 10_000, "rhino": -7_000, "lion": -3_000}
    assert (closed.transfers, closed.net) == (2, {(fsp, "KES"): amount for fsp, amount in net.items()})
    assert position("buffalo") == (10_500, 0)
    hub.windows.settle(1, clock())
    hub.windows.settle(1, clock())  # a repeat changes nothing
    assert [position(fsp)[0] for fsp in ("buffalo", "rhino", "lion")] == [500, 0, -500]
    settled = {fsp: hub.context.participants.position(fsp, "KES").settled for fsp in net}
    assert settled == net
    assert [one.state for one in hub.windows.all()] == ["SETTLED", "OPEN"]
    assert hub.windows.unsettled() == {("buffalo", "KES"): 500, ("lion", "KES"): -500}


def test_settling_makes_room_under_the_cap(hub, buffalo, rhino, clock):
    pay(hub, buffalo, rhino, 0, "1000")
    assert refused(hub, buffalo, 1) == "4001"
    hub.windows.close(1, clock())
    assert refused(hub, buffalo, 2) == "4001"
    hub.windows.settle(1, clock())
    pay(hub, buffalo, rhino, 3)
    assert hub.clearing.book.get(IDS[3]).state == "COMMITTED"


def test_windows_go_one_way(hub, clock):
    with pytest.raises(ConflictError, match="window-open"):
        hub.windows.settle(1, clock())
    hub.windows.close(1, clock())
    with pytest.raises(ConflictError, match="window-not-open"):
        hub.windows.close(1, clock())
    with pytest.raises(NotFoundError, match="unknown-window"):
        hub.windows.close(7, clock())


def test_a_transfer_counts_in_the_window_in_which_it_is_committed(hub, buffalo, rhino, clock):
    hub.receive(buffalo.prepare(transfer_id=IDS[0]))
    hub.windows.close(1, clock())
    hub.receive(rhino.fulfil("COMMITTED", transfer_id=IDS[0]))
    assert [one.transfers for one in hub.windows.all()] == [0, 1]


def test_limits_change_while_it_runs(hub, buffalo, rhino):
    limit = hub.context.participants.limit
    pay(hub, buffalo, rhino, 0)
    limit(Limit(fsp_id="buffalo", currency="KES", net_debit_cap="100.00"))
    assert refused(hub, buffalo, 1, amount="0.01") == "4001"
    limit(Limit(fsp_id="buffalo", currency="KES", net_debit_cap="100.01"))
    pay(hub, buffalo, rhino, 2, "0.01")
    assert hub.clearing.book.get(IDS[2]).state == "COMMITTED"
    limit(Limit(fsp_id="buffalo", currency="KES", net_debit_cap="50"))  # below what it owes
    assert refused(hub, buffalo, 3, amount="0.01") == "4001"


def test_who_is_not_active_neither_pays_nor_is_paid(hub, buffalo, rhino):
    limit = hub.context.participants.limit
    limit(Limit(fsp_id="rhino", currency="KES", active=False))
    assert refused(hub, buffalo, 0) == "3203"
    assert refused(hub, rhino, 1, payee="lion") == "3202"
    limit(Limit(fsp_id="rhino", currency="KES", active=True))
    pay(hub, buffalo, rhino, 2)
    assert hub.clearing.book.get(IDS[2]).state == "COMMITTED"


def test_positions_are_kept_by_currency(hub, buffalo, key_pems):
    shillings = {"amount": {"currency": "TZS", "amount": "10"}}

    def register(fsp):
        hub.context.participants.register(
            Registration(
                fsp_id=fsp,
                currency="TZS",
                callback_urls=[f"http://{fsp}"],
                public_key_pem=public_pem(key_pems[fsp]),
                net_debit_cap="10",
            )
        )

    def prepare(number):
        body = json.loads(buffalo.prepare(transfer_id=IDS[number]).body) | shillings
        [message] = hub.receive(buffalo.message("POST", "/transfers", body, to="rhino"))
        return json.loads(message.body).get("errorInformation", {}).get("errorCode")

    assert prepare(0) == "3100"
    register("buffalo")
    assert prepare(1) == "5106"
    register("rhino")
    assert prepare(2) is None
    assert prepare(3) == "4001"
    position = hub.context.participants.position
    assert (position("buffalo", "TZS").reserved, position("buffalo", "KES").reserved) == (1_000, 0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"fsp_id": "nobody"}, NotFoundError),
        ({"currency": "TZS"}, NotFoundError),
        ({"net_debit_cap": "1.234"}, InvalidInputError),
    ],
)
def test_limits_that_are_refused(hub, change, error):
    fields = {"fsp_id": "buffalo", "currency": "KES", "net_debit_cap": "1"} | change
    with pytest.raises(error):
        hub.context.participants.limit(Limit(**fields))
