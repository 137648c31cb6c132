"""Issue 2, "Bad input": each refusal has a status, a code and a place, and the engine never hears of it."""

from typing import Any

import msgspec
import pytest
from unit.gateway.gateway_kit import Gateway, assert_problem, party, transfer

from payhub_gateway.limits import BODY_BYTES_MAX


async def assert_refused(
    gateway: Gateway, body: Any, status: int, code: str, where: str, **headers: str | None
) -> None:
    answer = await gateway.send(body, **headers)
    assert_problem(answer, status, code, where)
    assert gateway.engine.calls == []


@pytest.mark.parametrize("body", [b"", b"{", b'{"payer": nope}', b"\xff\xfe", b'{"note": "\\ud800"}'])
async def test_malformed_json(gateway: Gateway, body: bytes):
    await assert_refused(gateway, body, 400, "malformed-json", "/")


async def test_unknown_field(gateway: Gateway):
    await assert_refused(gateway, transfer(colour="red"), 400, "unknown-field", "/colour")


async def test_unknown_field_deep_inside(gateway: Gateway):
    body = transfer(payee=party("254700000002", colour="red"))
    await assert_refused(gateway, body, 400, "unknown-field", "/payee/partyIdInfo/colour")


async def test_field_of_another_type(gateway: Gateway):
    body = transfer(amount={"amount": 10.5, "currency": "KES"})
    await assert_refused(gateway, body, 400, "invalid-field", "/amount/amount")


async def test_unknown_party_type(gateway: Gateway):
    body = transfer(payee=party("1", "PHONE"))
    await assert_refused(gateway, body, 400, "invalid-field", "/payee/partyIdInfo/partyIdType")


@pytest.mark.parametrize(
    "amount", ["0", "0.00", "-1", "1e3", "", "+1", "01", ".5", "1.", "1,0", " 1", "٣", "NaN"]
)
async def test_amount_that_is_no_positive_decimal(gateway: Gateway, amount: str):
    body = transfer(amount={"amount": amount, "currency": "KES"})
    await assert_refused(gateway, body, 400, "invalid-amount", "/amount/amount")


@pytest.mark.parametrize("amount", ["9999999999999999.99", "10000000000000000"])
async def test_amount_with_more_digits_than_the_house_counts(gateway: Gateway, amount: str):
    most = {"amount": "9999999999999999.99", "currency": "KES"}
    if amount == most["amount"]:
        assert (await gateway.send(transfer(amount=most))).status_code == 202
        return
    body = transfer(amount={"amount": amount, "currency": "KES"})
    await assert_refused(gateway, body, 400, "invalid-amount", "/amount/amount")


async def test_a_field_that_is_there_twice(gateway: Gateway):
    body = msgspec.json.encode(transfer()).replace(b'"currency"', b'"amount":"900.00","currency"')
    await assert_refused(gateway, body, 400, "duplicate-field", "/amount/amount")


async def test_too_many_decimals(gateway: Gateway):
    body = transfer(amount={"amount": "1.005", "currency": "KES"})
    await assert_refused(gateway, body, 400, "too-many-decimals", "/amount/amount")


async def test_too_many_decimals_for_a_currency_without_any(gateway: Gateway):
    gateway.put_tenant("buffalo", currency="UGX")
    body = transfer(amount={"amount": "10.5", "currency": "UGX"})
    await assert_refused(gateway, body, 400, "too-many-decimals", "/amount/amount")


@pytest.mark.parametrize("currency", ["XXX", "kes", "", "KESS"])
async def test_unknown_currency(gateway: Gateway, currency: str):
    body = transfer(amount={"amount": "1", "currency": currency})
    await assert_refused(gateway, body, 400, "unknown-currency", "/amount/currency")


async def test_currency_the_tenant_does_not_offer(gateway: Gateway):
    body = transfer(amount={"amount": "1", "currency": "UGX"})
    await assert_refused(gateway, body, 422, "currency-not-offered", "/amount/currency")
    gateway.put_tenant("buffalo", other_currencies=["UGX"])
    assert (await gateway.send(body)).status_code == 202


@pytest.mark.parametrize(
    "payee",
    [party("254700000001"), party("+254700000001"), party("254700000001", fspId="buffalo")],
)
async def test_same_payer_and_payee(gateway: Gateway, payee: dict[str, Any]):
    await assert_refused(gateway, transfer(payee=payee), 422, "same-party", "/payee/partyIdInfo")


@pytest.mark.parametrize(
    "identifier", ["", " ", "a" * 129, "a\nb", "a\x00", "a/b", "a?b", "a#b", "%2e", "..", " 1", "\u202e1"]
)
async def test_identifier_that_cannot_be_one(gateway: Gateway, identifier: str):
    where = "/payee/partyIdInfo/partyIdentifier"
    await assert_refused(gateway, transfer(payee=party(identifier)), 400, "invalid-identifier", where)


async def test_sub_identifier_that_cannot_be_one(gateway: Gateway):
    body = transfer(payee=party("254700000002", partySubIdOrType="../x"))
    where = "/payee/partyIdInfo/partySubIdOrType"
    await assert_refused(gateway, body, 400, "invalid-identifier", where)


@pytest.mark.parametrize("note", ["", "a" * 129, "a\r\nb"])
async def test_text_that_cannot_be_passed_on(gateway: Gateway, note: str):
    await assert_refused(gateway, transfer(note=note), 400, "invalid-field", "/note")


@pytest.mark.parametrize("expiration", ["tomorrow", "2030-01-01", "2030-01-01T00:00:00"])
async def test_expiration_without_a_moment(gateway: Gateway, expiration: str):
    body = transfer(expiration=expiration)
    await assert_refused(gateway, body, 400, "invalid-field", "/expiration")


async def test_missing_idempotency_key(gateway: Gateway):
    where = "header:X-CorrelationID"
    for sent in (None, ""):
        await assert_refused(gateway, transfer(), 400, "missing-idempotency-key", where, X_CorrelationID=sent)


@pytest.mark.parametrize("key", ["a" * 65, "a b", "a\tb"])
async def test_idempotency_key_that_cannot_be_one(gateway: Gateway, key: str):
    where = "header:X-CorrelationID"
    await assert_refused(gateway, transfer(), 400, "invalid-idempotency-key", where, X_CorrelationID=key)


@pytest.mark.parametrize(
    ("repeated", "status", "code"),
    [("Authorization", 401, "invalid-token"), ("X-CorrelationID", 400, "invalid-idempotency-key")],
)
async def test_header_sent_twice(gateway: Gateway, repeated: str, status: int, code: str):
    good = [("Authorization", f"Bearer {await gateway.token()}"), ("X-CorrelationID", "k")]
    twice = good + [header for header in good if header[0] == repeated]
    answer = await gateway.client.post("/channel/transfer", content=b"{}", headers=twice)
    assert_problem(answer, status, code, f"header:{repeated}")
    assert gateway.engine.calls == []


async def test_payer_of_another_institution(gateway: Gateway):
    body = transfer(payer=party("254700000001", fspId="lion"))
    await assert_refused(gateway, body, 403, "tenant-mismatch", "/payer/partyIdInfo/fspId")


async def test_token_of_another_tenant(gateway: Gateway):
    where = "header:Platform-TenantId"
    await assert_refused(gateway, transfer(), 403, "tenant-mismatch", where, Platform_TenantId="lion")


async def test_naming_the_own_tenant_is_no_mismatch(gateway: Gateway):
    assert (await gateway.send(transfer(), Platform_TenantId="buffalo")).status_code == 202


async def test_unknown_tenant(gateway: Gateway):
    stranger = gateway.app.dependencies["access_tokens"].dependency().issue("x", "hyena", "payments:write")
    answer = await gateway.send(transfer(), stranger)
    assert_problem(answer, 403, "unknown-tenant", "header:Authorization")
    assert gateway.engine.calls == []


async def test_suspended_tenant(gateway: Gateway):
    token = await gateway.token()
    gateway.put_tenant("buffalo", status="suspended")
    answer = await gateway.send(transfer(), token)
    assert_problem(answer, 403, "tenant-suspended", "header:Authorization")
    assert gateway.engine.calls == []


async def test_a_suspended_tenant_reads_what_it_has_begun(gateway: Gateway):
    payment_id = (await gateway.send(transfer())).json()["transactionId"]
    gateway.put_tenant("buffalo", status="suspended")
    headers = {"Authorization": f"Bearer {await gateway.token()}"}
    for path in (f"/v1/transfers/{payment_id}", f"/channel/transfer/{payment_id}", "/v1/usage"):
        assert (await gateway.client.get(path, headers=headers)).status_code == 200
    for path, key in (("/v1/transfers", "Idempotency-Key"), ("/channel/transfer", "X-CorrelationID")):
        refused = await gateway.client.post(path, json=transfer(), headers={**headers, key: "another"})
        assert_problem(refused, 403, "tenant-suspended", "header:Authorization")


async def test_removed_client(gateway: Gateway):
    token = await gateway.token()
    gateway.put_tenant("buffalo", clients=[])
    assert_problem(await gateway.send(transfer(), token), 403, "unknown-client", "header:Authorization")


async def test_scope_that_does_not_cover_the_operation(gateway: Gateway):
    for token in (await gateway.token("buffalo-reader"), await gateway.token(scope="payments:read")):
        answer = await gateway.send(transfer(), token)
        assert_problem(answer, 403, "insufficient-scope", "header:Authorization")
        assert "payments:write" in answer.headers["www-authenticate"]
    assert gateway.engine.calls == []


async def test_expired_token(gateway: Gateway):
    token = await gateway.token()
    gateway.clock.advance(299.9)
    assert (await gateway.send(transfer(), token)).status_code == 202
    gateway.clock.advance(0.1)
    answer = await gateway.send(transfer(), token)
    assert_problem(answer, 401, "token-expired", "header:Authorization")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert len(gateway.engine.calls) == 1


async def test_missing_token(gateway: Gateway):
    answer = await gateway.send(transfer(), Authorization=None)
    assert_problem(answer, 401, "missing-token", "header:Authorization")
    assert gateway.engine.calls == []


@pytest.mark.parametrize("credential", ["Bearer", "Bearer x.y.z", "Bearer ....", "Basic eDp5", "Bearer é"])
async def test_bad_token(gateway: Gateway, credential: str):
    sent = credential.encode("latin-1")
    answer = await gateway.client.post(
        "/channel/transfer", content=b"{}", headers={b"Authorization": sent, b"X-CorrelationID": b"k"}
    )
    assert_problem(answer, 401, "invalid-token", "header:Authorization")
    assert gateway.engine.calls == []


async def test_body_that_is_too_large(gateway: Gateway):
    answer = await gateway.send(b" " * (BODY_BYTES_MAX + 1))
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert gateway.engine.calls == []


async def test_a_refused_request_does_not_use_up_its_key(gateway: Gateway):
    await assert_refused(gateway, transfer(colour="red"), 400, "unknown-field", "/colour")
    assert (await gateway.send(transfer())).status_code == 202
