from unit.gateway.gateway_kit import Gateway, assert_problem, party, transfer

from payhub_platform import ids
from payhub_platform.clock import iso
from payhub_platform.money import Money

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_transfer_is_accepted_by_the_home_engine(gateway: Gateway):
    answer = await gateway.send(transfer(clientRefId="ref-1", note="rent"), traceparent=TRACE)
    expected_id = ids.payment_id("buffalo", "buffalo-ussd", "key-1")
    assert (answer.status_code, answer.json()) == (202, {"transactionId": expected_id})
    assert answer.headers["location"] == f"/channel/transfer/{expected_id}"
    [(tenant, payment, traceparent)] = gateway.engine.calls
    assert (tenant.tenant_id, tenant.epoch) == ("buffalo", 7)
    assert payment.amount == Money(1050, "KES")
    assert (payment.client_id, payment.client_ref_id, payment.note) == ("buffalo-ussd", "ref-1", "rent")
    assert payment.payer.party_identifier == "254700000001"
    assert traceparent.split("-")[1] == TRACE.split("-")[1]
    assert answer.headers["traceparent"] == traceparent


async def test_the_same_key_and_body_give_the_same_answer(gateway: Gateway):
    first = await gateway.send(transfer())
    second = await gateway.send(transfer())
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert len(gateway.engine.payments) == 1


async def test_the_same_key_with_another_body_is_refused(gateway: Gateway):
    await gateway.send(transfer())
    answer = await gateway.send(transfer(amount={"amount": "11", "currency": "KES"}))
    assert_problem(answer, 422, "key-reused")
    assert answer.json()["instance"] == "/channel/transfer"
    assert answer.json()["detail"] == "The key was used for another payment."


async def test_the_order_of_fields_does_not_make_another_request(gateway: Gateway):
    await gateway.send(transfer())
    answer = await gateway.send(dict(reversed(transfer().items())))
    assert answer.status_code == 202


async def test_two_clients_may_use_the_same_key(gateway: Gateway):
    ours = await gateway.send(transfer())
    theirs = await gateway.send(transfer(), await gateway.token("lion-app"))
    assert ours.json() != theirs.json()
    assert len(gateway.engine.payments) == 2


async def test_the_status_of_a_transfer_is_told_to_its_tenant(gateway: Gateway):
    payment_id = (await gateway.send(transfer())).json()["transactionId"]
    answer = await gateway.status(payment_id)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["transactionId"], told["state"]) == (payment_id, "PENDING")
    assert told["amount"] == {"amount": "10.50", "currency": "KES"}


async def test_another_tenant_does_not_see_the_transfer(gateway: Gateway):
    payment_id = (await gateway.send(transfer())).json()["transactionId"]
    answer = await gateway.status(payment_id, await gateway.token("lion-app"))
    assert_problem(answer, 404, "unknown-payment")


async def test_what_is_no_payment_id_is_unknown_without_asking(gateway: Gateway):
    gateway.engine.down = True
    for nonsense in ("1", "..", "%00", "0AF76519-16CD-53DD-8448-EB211C80319C"):
        answer = await gateway.status(nonsense)
        assert answer.status_code == 404
        assert answer.json()["code"] in ("unknown-payment", "not-found")


async def test_an_engine_that_does_not_answer_is_unavailable(gateway: Gateway):
    gateway.engine.down = True
    answer = await gateway.send(transfer())
    assert_problem(answer, 503, "engine-unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_client_with_its_share_at_work_is_told_to_wait(gateway: Gateway):
    slots = gateway.parts.in_flight
    with slots.slot("buffalo", "buffalo-ussd"), slots.slot("buffalo", "buffalo-ussd"):
        answer = await gateway.send(transfer())
        other = await gateway.send(transfer(), await gateway.token("lion-app"))
    assert_problem(answer, 429, "too-many-requests")
    assert int(answer.headers["retry-after"]) >= 1
    assert other.status_code == 202
    assert (await gateway.send(transfer())).status_code == 202


async def test_a_full_gateway_is_overloaded(gateway: Gateway):
    slots = gateway.parts.in_flight
    with slots.slot("a", "a"), slots.slot("b", "b"), slots.slot("c", "c"):
        answer = await gateway.send(transfer())
    assert_problem(answer, 503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1


async def test_an_expired_transfer_is_refused(gateway: Gateway):
    past = gateway.clock.now_ms // 1000 - 1
    body = transfer(expiration=_iso(past))
    assert_problem(await gateway.send(body), 422, "expired", "/expiration")
    assert gateway.engine.calls == []


async def test_a_retry_after_the_expiration_still_gets_its_answer(gateway: Gateway):
    body = transfer(expiration=_iso(gateway.now_s + 5))
    first = await gateway.send(body)
    gateway.clock.advance(60)
    second = await gateway.send(body)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert gateway.engine.calls[0][1].expires_at_ms == (gateway.now_s - 55) * 1000


async def test_equal_account_numbers_of_two_institutions_are_two_accounts(gateway: Gateway):
    body = transfer(payer=party("77", "ACCOUNT_ID"), payee=party("77", "ACCOUNT_ID", fspId="lion"))
    assert (await gateway.send(body)).status_code == 202


async def test_answers_carry_security_headers(gateway: Gateway):
    for answer in (await gateway.send(transfer()), await gateway.client.get("/nowhere")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


async def test_unknown_addresses_and_methods_are_problems(gateway: Gateway):
    assert_problem(await gateway.client.get("/nowhere"), 404, "not-found")
    assert_problem(await gateway.client.delete("/channel/transfer"), 405, "method-not-allowed")


async def test_health_answers(gateway: Gateway):
    for address in ("/health/live", "/health/ready"):
        assert (await gateway.client.get(address)).status_code == 200


def _iso(at_s: int) -> str:
    return iso(at_s * 1000)
