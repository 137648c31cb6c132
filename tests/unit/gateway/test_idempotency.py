"""One key, one act (draft-ietf-httpapi-idempotency-key-header-07)."""

import asyncio
import contextlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.datastructures import Headers
from unit.gateway.gateway_kit import ISSUER, Gateway, assert_problem, transfer

from payhub_gateway.channel.idempotency import HEADER_KEY, idempotency_key
from payhub_platform.errors import InvalidInputError

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)


@given(VISIBLE)
def test_the_quoted_and_the_bare_form_are_the_same_key(key: str):
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert idempotency_key(Headers({HEADER_KEY: quoted}), HEADER_KEY) == key


@given(st.text(max_size=70))
def test_a_header_is_a_key_or_refused(text: str):
    with contextlib.suppress(InvalidInputError):
        key = idempotency_key(Headers({HEADER_KEY: text}), HEADER_KEY)
        assert 0 < len(key) <= 64
        assert key.isascii()
        assert key.isprintable()


async def test_every_name_of_the_header_is_the_same_key(gateway: Gateway):
    answers = [
        await gateway.send(transfer(), X_CorrelationID=None, **{name: "key-1"})
        for name in ("Idempotency_Key", "X_Idempotency_Key")
    ]
    answers.append(await gateway.send(transfer(), Idempotency_Key='"key-1"'))
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len(gateway.engine.payments) == 1


async def test_two_keys_in_one_request_are_refused(gateway: Gateway):
    answer = await gateway.send(transfer(), Idempotency_Key="key-2")
    assert_problem(answer, 400, "invalid-idempotency-key", "header:X-CorrelationID")
    assert gateway.engine.calls == []


@pytest.mark.parametrize("key", ['"', '""', '"a', 'a b"', '"a b"', '"a"b"', '"\\n"', '"' + "a" * 65 + '"'])
async def test_what_is_no_string_is_no_key(gateway: Gateway, key: str):
    answer = await gateway.send(transfer(), X_CorrelationID=None, Idempotency_Key=key)
    assert_problem(answer, 400, "invalid-idempotency-key", "header:Idempotency-Key")


async def test_a_request_that_is_still_at_work_is_not_sent_twice(gateway: Gateway):
    headers = {"Authorization": f"Bearer {await gateway.token()}", "X-CorrelationID": "key-1"}
    # The kit's client sends one request after the other.
    transport = httpx.ASGITransport(app=gateway.app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=ISSUER, headers=headers) as client:
        gateway.engine.may_answer.clear()
        first = asyncio.create_task(client.post("/channel/transfer", json=transfer()))
        while not gateway.engine.calls:
            await asyncio.sleep(0)
        again = await client.post("/channel/transfer", json=transfer())
        assert_problem(again, 409, "request-in-progress")
        assert again.headers["retry-after"] == "1"
        other = await client.post("/channel/transfer", json=transfer(note="other"))
        assert_problem(other, 422, "key-reused")
        gateway.engine.may_answer.set()
        answered = await first
        assert (answered.status_code, len(gateway.engine.calls)) == (202, 1)
        assert (await client.post("/channel/transfer", json=transfer())).json() == answered.json()


async def test_a_request_that_failed_is_no_longer_at_work(gateway: Gateway):
    gateway.engine.down = True
    for _ in range(2):
        assert_problem(await gateway.send(transfer()), 503, "engine-unavailable")
    gateway.engine.down = False
    assert (await gateway.send(transfer())).status_code == 202
