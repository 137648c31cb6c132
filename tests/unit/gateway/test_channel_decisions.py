"""What members decide about a transfer: the payer confirms its terms, the payee pays it back."""

from typing import Any

from unit.gateway.gateway_kit import Gateway, assert_problem, transfer
from unit.gateway.openapi_kit import check_body

from payhub_platform import ids
from payhub_platform.money import Money

UNKNOWN = "22222222-2222-4222-8222-222222222222"
ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def paid(gateway: Gateway) -> str:
    return str((await gateway.send(transfer(confirmQuote=True))).json()["transactionId"])


async def confirm(gateway: Gateway, payment_id: str, body: Any, client: str = "buffalo-ussd") -> Any:
    return await gateway.call("POST", f"/v1/transfers/{payment_id}/confirmation", body, client)


async def refund(gateway: Gateway, payment_id: str, body: Any, key: str = "r-1") -> Any:
    return await gateway.call("POST", f"/v1/transfers/{payment_id}/refunds", body, Idempotency_Key=key)


async def test_a_payer_confirms(gateway: Gateway):
    payment_id = await paid(gateway)
    for accepted, act in ((True, "accepted"), (False, "rejected")):
        answer = await confirm(gateway, payment_id, {"accepted": accepted})
        assert (answer.status_code, answer.json()) == (202, {"transactionId": payment_id})
        assert answer.headers["location"] == f"/v1/transfers/{payment_id}"
        check_body(answer, "/v1/transfers/{payment_id}/confirmation", "post")
        tenant, path, body, told = gateway.engine.told.pop()
        assert (tenant, body.accepted, told) == ("buffalo", accepted, act)
        assert path == f"/engine/v1/payments/{payment_id}/confirmation"


async def test_what_is_not_there_is_not_confirmed(gateway: Gateway):
    for unknown in (UNKNOWN, ULID):
        answer = await confirm(gateway, unknown, {"accepted": True})
        assert_problem(answer, 404, "unknown-payment")
        check_body(answer, "/v1/transfers/{payment_id}/confirmation", "post")


async def test_what_is_no_id_never_reaches_an_engine(gateway: Gateway):
    gateway.engine.down = True
    for nonsense in ("1", "%2e%2e", UNKNOWN.replace("2", "A"), ULID.lower()):
        for path, body in (("confirmation", {"accepted": True}), ("refunds", {})):
            answer = await gateway.call("POST", f"/v1/transfers/{nonsense}/{path}", body, Idempotency_Key="k")
            assert_problem(answer, 404, "unknown-payment")


async def test_a_confirmation_says_yes_or_no(gateway: Gateway):
    payment_id = await paid(gateway)
    for body, where in (({}, "/"), ({"accepted": 1}, "/accepted"), ({"accepted": True, "yes": 1}, "/yes")):
        answer = await confirm(gateway, payment_id, body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, where)
    assert gateway.engine.told == []


async def test_another_tenants_payment_is_as_one_that_never_was(gateway: Gateway):
    payment_id = await paid(gateway)
    theirs = await confirm(gateway, payment_id, {"accepted": True}, "lion-app")
    nobodys = await confirm(gateway, UNKNOWN, {"accepted": True}, "lion-app")
    assert_problem(theirs, 404, "unknown-payment")
    assert {**theirs.json(), "instance": ""} == {**nobodys.json(), "instance": ""}
    back = await gateway.call(
        "POST", f"/v1/transfers/{payment_id}/refunds", {}, "lion-app", Idempotency_Key="r"
    )
    assert_problem(back, 404, "unknown-payment")
    assert gateway.engine.told == []


async def test_reading_is_not_deciding(gateway: Gateway):
    payment_id = await paid(gateway)
    for path in ("confirmation", "refunds"):
        answer = await gateway.call(
            "POST", f"/v1/transfers/{payment_id}/{path}", {}, "buffalo-reader", Idempotency_Key="k"
        )
        assert_problem(answer, 403, "insufficient-scope", "header:Authorization")


async def test_a_part_is_paid_back(gateway: Gateway):
    original = await paid(gateway)
    body = {"amount": {"amount": "4.25", "currency": "KES"}, "reason": "broken", "clientRefId": "r"}
    answer = await refund(gateway, original, body)
    asked = ids.derive("refund-asked", "buffalo", "buffalo-ussd", original, "r-1")
    assert (answer.status_code, answer.json()) == (202, {"transactionId": asked})
    assert answer.headers["location"] == f"/v1/transfers/{asked}"
    check_body(answer, "/v1/transfers/{payment_id}/refunds", "post")
    [(_, _, command, _)] = gateway.engine.told
    assert (command.amount, command.reason, command.client_ref_id) == (Money(425, "KES"), "broken", "r")


async def test_the_same_refund_again_is_the_same_to_the_engine_and_another_is_not(gateway: Gateway):
    original = await paid(gateway)
    for body in ({}, {}, {"reason": "other"}):
        await refund(gateway, original, body)
    await refund(gateway, original, {}, key="r-2")
    first, again, other, another_key = [command for _, _, command, _ in gateway.engine.told]
    assert first == again
    assert (other.payment_id, another_key.fingerprint) == (first.payment_id, first.fingerprint)
    assert other.fingerprint != first.fingerprint
    assert another_key.payment_id != first.payment_id
    assert first.amount is None


async def test_a_refund_that_cannot_be(gateway: Gateway):
    original = await paid(gateway)
    wrong: list[tuple[dict[str, Any], int, str, str]] = [
        ({"amount": {"amount": "0", "currency": "KES"}}, 400, "invalid-amount", "/amount/amount"),
        ({"amount": {"amount": "1", "currency": "UGX"}}, 422, "currency-not-offered", "/amount/currency"),
        ({"reason": "x" * 129}, 400, "invalid-field", "/reason"),
        ({"clientRefId": ""}, 400, "invalid-field", "/clientRefId"),
        ({"colour": "red"}, 400, "unknown-field", "/colour"),
    ]
    for body, status, code, where in wrong:
        assert_problem(await refund(gateway, original, body), status, code, where)
    assert gateway.engine.told == []


async def test_a_refund_needs_a_key(gateway: Gateway):
    answer = await gateway.call("POST", f"/v1/transfers/{await paid(gateway)}/refunds", {})
    assert_problem(answer, 400, "missing-idempotency-key", "header:Idempotency-Key")


async def test_a_one_time_password_is_for_those_who_could_pay(gateway: Gateway):
    payment_id = await paid(gateway)
    gateway.engine.password = "123456"
    for path in ("/v1/transfers/", "/channel/transfer/"):
        told = await gateway.call("GET", path + payment_id)
        assert told.json()["oneTimePassword"] == "123456"
        reader = await gateway.call("GET", path + payment_id, client="buffalo-reader")
        assert (reader.status_code, "oneTimePassword" in reader.json()) == (200, False)
