"""Every operation with every value of a good body changed: refused as the document says, or done."""

import random
from collections.abc import Iterator
from typing import Any, Final

from support.changed_body import changed
from unit.gateway.gateway_kit import Gateway, transfer
from unit.gateway.openapi_kit import DOCUMENT, check_body
from unit.gateway.test_channel_payment_hub import gsma
from unit.gateway.test_channel_requests import asked

ODD: Final[list[Any]] = [
    None, True, 0, -1, 1.5, 10**400, "", " ", "x", "\x00", "\ud7ff\U0001f4b8", "a" * 5000, "../..", "9" * 40,
    [], [None], {}, {"a": {}}, "2030-01-01T00:00:00+99:99", "9999-12-31T23:59:59-23:59", "NaN", "1e400",
]  # fmt: skip
MEMBER = {"partyIdType": "MSISDN", "partyIdentifier": "1", "partySubIdOrType": "2"}
TYPE = {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"}
FULL = {"clientRefId": "r", "note": "n", "expiration": "2030-01-01T00:00:00Z"}
BODIES: Final[dict[str, dict[str, Any]]] = {
    "/v1/transfers": transfer(**FULL, useCase="cash-in", confirmQuote=True, amountType="RECEIVE"),
    "/v1/transfers/{payment_id}/confirmation": {"accepted": True},
    "/v1/transfers/{payment_id}/refunds": {"amount": transfer()["amount"], "reason": "r", "clientRefId": "c"},
    "/v1/bulk-payments": {
        "payer": transfer()["payer"],
        "payments": [
            {**{name: transfer()[name] for name in ("payee", "amount")}, "clientRefId": "r", "note": "n"}
        ],
        "clientRefId": "b",
        "expiration": FULL["expiration"],
    },
    "/v1/transaction-requests": asked(note="n", useCase="atm-cash-out", authentication="OTP"),
    "/v1/transaction-requests/{request_id}/authorization": {"responseType": "ENTERED", "password": "1234"},
    "/v1/party-lookups": {"party": MEMBER},
    "/v1/account-lookups": {"party": MEMBER},
    "/v1/party-registrations": {"party": MEMBER, "withdraw": True},
    "/channel/transfer": transfer(**FULL, transactionType=TYPE),
    "/channel/transactionRequest": asked(amountType="RECEIVE", transactionType=TYPE),
    "/channel/partyRegistration": {"idType": "ALIAS", "idValue": "a", "accountId": "A1"},
    "/channel/gsma/transfer": gsma(),
}
OWN = "22222222-2222-4222-8222-222222222222"
SEED = 7
TRIES_PER_VALUE = 5


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path of every value in a body, the whole of it first."""
    yield path
    steps = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for step, value in steps:
        yield from places(value, (*path, step))


async def test_no_body_breaks_anything(gateway: Gateway):
    told = {path for path, one in DOCUMENT["paths"].items() if "requestBody" in one.get("post", {})}
    assert told == BODIES.keys()
    dice, statuses = random.Random(SEED), set()
    keys: list[Any] = []
    token = await gateway.token(scope="payments:write payments:read accounts:read parties:write")
    for path, body in BODIES.items():
        address = path.replace("{payment_id}", OWN).replace("{request_id}", OWN)
        for place in places(body):
            for odd in dice.sample(ODD, TRIES_PER_VALUE):
                gateway.clock.advance(0.1)
                leaves_out = bool(place) and dice.random() < 0.1
                headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"k{len(keys)}"}
                keys.append(place)
                sent = changed(body, place, odd, leave_out=leaves_out)
                answer = await gateway.client.post(address, json=sent, headers=headers)
                assert answer.status_code < 500, (path, place, odd, answer.text)
                check_body(answer, path, "post")
                statuses.add(answer.status_code)
        token = await gateway.token(scope="payments:write payments:read accounts:read parties:write")
    assert statuses >= {202, 400, 422}
