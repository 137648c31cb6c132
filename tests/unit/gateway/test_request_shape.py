"""What is refused before anything costly, and what is written of a request."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.gateway.gateway_kit import Gateway, assert_problem, party, transfer

from payhub_gateway.request_shape import DEPTH_MAX, depth

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def counted(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((counted(inner) for inner in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((counted(inner) for inner in value), default=0)
    return 0


@given(json_values, st.booleans())
def test_the_depth_is_that_of_what_is_read(value: Any, ascii_only: bool):
    assert depth(json.dumps(value, ensure_ascii=ascii_only).encode()) == counted(value)


@given(st.binary())
def test_what_is_no_json_has_some_depth(body: bytes):
    assert depth(body) >= 0


async def test_a_body_that_is_nested_deeply_is_refused(gateway: Gateway):
    for opening in (b"[", b'{"a":'):
        answer = await gateway.send(opening * (DEPTH_MAX + 1))
        assert_problem(answer, 400, "malformed-json", "/")
    assert "too deeply" in answer.json()["detail"]


async def test_brackets_in_texts_are_no_depth(gateway: Gateway):
    answer = await gateway.send(transfer(note="[{" * 30))
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("headers", "status", "code", "where"),
    [
        ({"Content_Encoding": "gzip"}, 415, "unreadable-body", "header:Content-Encoding"),
        ({"Content_Type": "application/json; charset=utf-16"}, 415, "unreadable-body", "header:Content-Type"),
        ({"Content_Type": 'text/x;Charset="latin-1"'}, 415, "unreadable-body", "header:Content-Type"),
        ({"X_Long": "a" * 16_384}, 431, "head-too-large", ""),
        ({f"X_{number}": "a" for number in range(64)}, 431, "head-too-large", ""),
    ],
)
async def test_a_head_that_is_refused_before_its_token_is_read(
    gateway: Gateway, headers: dict[str, str], status: int, code: str, where: str
):
    answer = await gateway.send(transfer(), "no token", **headers)
    assert_problem(answer, status, code, where)


async def test_an_announced_body_that_is_too_large_is_not_waited_for(gateway: Gateway):
    answer = await gateway.send(b" " * 65_537, "no token")
    assert_problem(answer, 413, "body-too-large", "header:Content-Length")


async def test_an_address_that_is_too_long(gateway: Gateway):
    for address in ("/channel/transfer/" + "a" * 1024, "/health/live?" + "a" * 8193):
        assert_problem(await gateway.client.get(address), 414, "address-too-long")


async def test_good_heads_pass(gateway: Gateway):
    for media_type in ("application/json;charset=UTF-8", 'application/json; charset="utf-8"', None):
        assert (await gateway.send(transfer(), Content_Type=media_type)).status_code == 202


async def test_answers_forbid_what_browsers_might_do(gateway: Gateway):
    answer = await gateway.send(transfer())
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_each_request_is_written_down_without_its_persons(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    token = await gateway.token()
    body = transfer(payee=party("254700000099"), note="for Amina")
    payment = (await gateway.send(body, token)).json()["transactionId"]
    await gateway.status(payment, token)
    await gateway.send(body, token, Platform_TenantId="lion")
    lines = [
        (record.name, json.loads(record.message))
        for record in caplog.records
        if record.name.startswith("payhub.")
    ]
    told = [
        (name, line["method"], line["route"], line["status"], line["decision"], line.get("code"))
        for name, line in lines
        if line["event"] == "request" and line.get("tenant")
    ]
    route = "/channel/transfer"
    assert told == [
        ("payhub.audit", "POST", route, 202, "allowed", None),
        ("payhub.access", "GET", route + "/{payment_id}", 200, "allowed", None),
        ("payhub.audit", "POST", route, 403, "refused", "tenant-mismatch"),
    ]
    assert {(line.get("tenant"), line.get("client")) for _, line in lines[1:]} == {
        ("buffalo", "buffalo-ussd")
    }
    assert all(len(line["trace"]) == 32 for _, line in lines if line["event"] == "request")
    written = json.dumps(lines)
    assert not any(secret in written for secret in ("254700000099", "Amina", token, payment))


async def test_health_is_not_written_down(gateway: Gateway, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    await gateway.client.get("/health/live")
    assert [record for record in caplog.records if record.name.startswith("payhub.")] == []
