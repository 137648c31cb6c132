"""``/v1/bulk-payments``: what is taken, what is refused and where, and how a bulk is found again."""

from typing import Any

import jsonschema
import msgspec
import pytest
from unit.gateway.gateway_kit import NOW_S, Gateway, MemoryEngine, assert_problem, party

from payhub_gateway.openapi import document
from payhub_platform import ids
from payhub_platform.clock import iso
from payhub_platform.contracts.bulk_payments import BULK_PAYMENTS_MAX, BulkPaymentStatus
from payhub_platform.errors import NotFoundError

BULK_ID = ids.derive("bulk-payment", "buffalo", "buffalo-ussd", "key-1")
DOCUMENT = document()


class BulkEngine(MemoryEngine):
    """Also tells how bulks stand."""

    async def find(self, tenant: Any, path: str, kind: Any, traceparent: str) -> Any:
        assert traceparent
        assert kind is BulkPaymentStatus
        self._require_up()
        prefix, _, bulk_id = path.rpartition("/")
        assert prefix == "/engine/v1/bulk-payments"
        known = self.payments.get((tenant.tenant_id, path))
        if known is None:
            raise NotFoundError("unknown-payment", "There is nothing with this id.")
        return BulkPaymentStatus(
            bulk_payment_id=bulk_id, state="PENDING", payer=known.payer, started_at=iso(0), payments=[]
        )


@pytest.fixture
def bulks(gateway: Gateway) -> Gateway:
    gateway.engine.__class__ = BulkEngine
    return gateway


def one(number: int = 2, **changes: Any) -> dict[str, Any]:
    amount = {"amount": "10.50", "currency": "KES"}
    return {"payee": party(f"25470000000{number}"), "amount": amount, **changes}


def bulk(*payments: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"payer": party("254700000001"), "payments": list(payments), **changes}


async def send(gateway: Gateway, body: Any, key: str = "key-1", client: str = "buffalo-ussd") -> Any:
    headers = {"Authorization": f"Bearer {await gateway.token(client)}", "Idempotency-Key": key}
    return await gateway.client.post("/v1/bulk-payments", json=body, headers=headers)


async def get(gateway: Gateway, bulk_id: str, client: str = "buffalo-ussd") -> Any:
    headers = {"Authorization": f"Bearer {await gateway.token(client)}"}
    return await gateway.client.get(f"/v1/bulk-payments/{bulk_id}", headers=headers)


def check_body(answer: Any, path: str, method: str = "get") -> None:
    told = DOCUMENT["paths"][path][method]["responses"][str(answer.status_code)]["content"]
    schema = told[answer.headers["content-type"]]["schema"]
    jsonschema.validate(answer.json(), {**schema, "components": DOCUMENT["components"]})


async def test_a_bulk_is_handed_over_once_and_found_again(bulks: Gateway):
    asked = bulk(one(2, note="march", clientRefId="a"), one(3, amountType="RECEIVE"), clientRefId="payroll")
    for _ in range(2):
        answer = await send(bulks, asked)
        assert (answer.status_code, answer.json()) == (202, {"bulkPaymentId": BULK_ID})
        assert answer.headers["location"] == f"/v1/bulk-payments/{BULK_ID}"
        check_body(answer, "/v1/bulk-payments", "post")
    (_, started, _), _ = bulks.engine.calls
    assert [payment.amount.minor for payment in started.payments] == [1050, 1050]
    assert [payment.amount_type for payment in started.payments] == ["SEND", "RECEIVE"]
    assert (started.payments[0].note, started.payments[0].client_ref_id) == ("march", "a")
    assert (started.client_ref_id, started.client_id) == ("payroll", "buffalo-ussd")
    status = await get(bulks, BULK_ID)
    assert status.json()["bulkPaymentId"] == BULK_ID
    check_body(status, "/v1/bulk-payments/{bulk_id}")


async def test_the_same_key_for_another_bulk_is_refused(bulks: Gateway):
    await send(bulks, bulk(one()))
    answer = await send(bulks, bulk(one(), one(3)))
    assert (answer.status_code, answer.json()["code"]) == (422, "key-reused")


async def test_a_bulk_of_another_institution_is_not_found(bulks: Gateway):
    await send(bulks, bulk(one()))
    for bulk_id, client in ((BULK_ID, "lion-app"), ("nonsense", "buffalo-ussd"), ("..", "lion-app")):
        answer = await get(bulks, bulk_id, client)
        assert answer.status_code == 404
    assert (await send(bulks, bulk(one()), client="lion-app")).json()["bulkPaymentId"] != BULK_ID


@pytest.mark.parametrize(
    ("changes", "status", "code", "where"),
    [
        ({"amount": {"amount": "0", "currency": "KES"}}, 400, "invalid-amount", "/payments/1/amount/amount"),
        (
            {"amount": {"amount": "1", "currency": "UGX"}},
            422,
            "currency-not-offered",
            "/payments/1/amount/currency",
        ),
        ({"payee": party("254700000001")}, 422, "same-party", "/payments/1/payee/partyIdInfo"),
        (
            {"payee": party("2547/1")},
            400,
            "invalid-identifier",
            "/payments/1/payee/partyIdInfo/partyIdentifier",
        ),
        ({"note": "x" * 129}, 400, "invalid-field", "/payments/1/note"),
        ({"more": 1}, 400, "unknown-field", "/payments/1/more"),
    ],
)
async def test_what_is_wrong_with_one_payment_is_told_with_its_place(
    bulks: Gateway, changes: Any, status: int, code: str, where: str
):
    answer = await send(bulks, bulk(one(), {**one(3), **changes}))
    assert_problem(answer, status, code, where)
    assert bulks.engine.calls == []


async def test_a_bulk_has_between_one_and_a_hundred_payments(bulks: Gateway):
    assert_problem(await send(bulks, bulk()), 400, "invalid-field", "/payments")
    many = await send(bulks, bulk(*[one()] * (BULK_PAYMENTS_MAX + 1)))
    assert_problem(many, 400, "invalid-field", "/payments")
    assert (await send(bulks, bulk(*[one()] * BULK_PAYMENTS_MAX))).status_code == 202


async def test_another_institutions_payer_is_refused(bulks: Gateway):
    answer = await send(bulks, bulk(one(), payer=party("254700000001", fspId="lion")))
    assert_problem(answer, 403, "tenant-mismatch", "/payer/partyIdInfo/fspId")


async def test_an_expired_bulk_is_refused_unless_it_is_known(bulks: Gateway):
    late = bulk(one(), expiration=iso((NOW_S + 5) * 1000))
    assert (await send(bulks, late)).status_code == 202
    bulks.clock.advance(10)
    assert (await send(bulks, late)).status_code == 202
    assert_problem(await send(bulks, late, key="key-2"), 422, "expired", "/expiration")


async def test_reading_alone_starts_nothing(bulks: Gateway):
    answer = await send(bulks, bulk(one()), client="buffalo-reader")
    assert_problem(answer, 403, "insufficient-scope", "header:Authorization")


async def test_an_engine_that_is_away_is_told_so(bulks: Gateway):
    bulks.engine.down = True
    assert_problem(await send(bulks, bulk(one())), 503, "engine-unavailable")
    assert msgspec.json.decode((await get(bulks, BULK_ID)).content)["code"] == "engine-unavailable"
