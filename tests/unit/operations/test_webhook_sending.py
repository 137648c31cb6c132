"""When a delivery is tried again, how it is signed, and where it never goes."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.webhook_receivers import BOX, SECRET, endpoint, verified

from payhub_operations.webhooks.model import RETRY_FOR, RETRY_WAIT_MAX, RETRY_WAIT_MIN, Delivery, next_attempt
from payhub_operations.webhooks.sender import Sender
from payhub_operations.webhooks.signature import signed_headers
from payhub_platform.contracts.tenant import WebhookSecret

NOW = datetime(2026, 9, 21, tzinfo=UTC)
OTHER = "whsec_" + "QUJD" * 8
GUIDE = Path(__file__).parents[3] / "docs" / "webhooks.md"


def delivery(url: str = "https://hooks.example.ke/p", **changes: Any) -> Delivery:
    given = {
        "tenant": "buffalo",
        "number": 1,
        "endpoint": "hook",
        "message": "msg_1",
        "body": "{}",
        "attempts": 1,
        "started_at": NOW,
        "url": url,
        "secrets": endpoint(url).secrets,
        **changes,
    }
    return Delivery(**given)


@given(st.integers(0, 2**31), st.text("0123456789abcdef", min_size=1, max_size=8))
def test_waits_double_until_the_end_of_the_third_day(tries_from: int, message: str):
    now, waits = NOW, []
    for attempt in range(tries_from, tries_from + 100):
        following = next_attempt(delivery(attempts=attempt, message=message), now)
        if following is None:
            break
        waits.append(following - now)
        now = following
    assert now == NOW + RETRY_FOR  # the last attempt
    assert 12 < len(waits) < 25
    assert all(RETRY_WAIT_MIN * 0.9 <= wait <= RETRY_WAIT_MAX * 1.1 for wait in waits[:-1])
    assert sum(waits[:10], timedelta()) < timedelta(hours=3)


def test_a_clock_that_jumps_back_makes_no_long_wait():
    following = next_attempt(delivery(), NOW - timedelta(days=30))
    assert following is not None
    assert following - (NOW - timedelta(days=30)) <= RETRY_WAIT_MIN * 1.1


def test_the_signature_is_the_one_that_the_standards_own_example_has():
    # The published example of the libraries of Standard Webhooks.
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(max_size=200), st.integers(0, 4_000_000_000))
def test_a_receiver_verifies_every_secret_and_nothing_that_was_changed(body: bytes, at_s: int):
    headers = signed_headers("msg_1", at_s, body, [SECRET, OTHER])
    assert verified(SECRET, headers, body)
    assert verified(OTHER, headers, body)
    assert not verified("whsec_" + "WFla" * 8, headers, body)
    assert not verified(SECRET, headers, body + b"x")
    assert not verified(SECRET, {**headers, "webhook-timestamp": str(at_s + 1)}, body)
    assert not verified(SECRET, {**headers, "webhook-id": "msg_2"}, body)


def test_the_guides_receiver_verifies_what_is_sent_while_it_is_new():
    [code] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    guide: dict[str, Any] = {}
    exec(code, guide)  # noqa: S102 - our own guide
    headers = signed_headers("msg_1", 1_000_000, b"{}", [OTHER, SECRET])
    assert guide["is_ours"](SECRET, headers, b"{}", 1_000_000 + 299)
    assert not guide["is_ours"](SECRET, headers, b"{}", 1_000_000 + 301)
    assert not guide["is_ours"](SECRET, headers, b"{ }", 1_000_000)
    assert not guide["is_ours"]("whsec_" + "WFla" * 8, headers, b"{}", 1_000_000)
    assert not guide["is_ours"](SECRET, {**headers, "webhook-timestamp": "soon"}, b"{}", 1_000_000)


class Hosts:
    """A name service whose answer changes with every question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def addresses(self, _host: str) -> list[str]:
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("url", "answer", "error"),
    [
        ("https://hooks.example.ke/p", ["10.0.0.1"], "private-address"),
        ("https://hooks.example.ke/p", ["41.90.0.1", "127.0.0.1"], "private-address"),
        ("https://hooks.example.ke/p", ["::ffff:169.254.169.254"], "private-address"),
        ("https://hooks.example.ke/p", [], "unknown-host"),
        ("https://0x7f.1/", ["127.0.0.1"], "private-address"),
        ("https://169.254.169.254/latest/meta-data", ["41.90.0.1"], "private-address"),
        ("https://[::1]/", ["41.90.0.1"], "private-address"),
        ("https://localhost./", ["41.90.0.1"], "private-address"),
        ("http://hooks.example.ke/p", ["41.90.0.1"], "private-address"),
        ("https://2130706433/", ["41.90.0.1"], "private-address"),
    ],
)
async def test_a_private_address_is_refused_whatever_the_name_said_before(
    url: str, answer: list[str], error: str
):
    sender = Sender(BOX, Hosts(answer), private_allowed=False)
    try:
        told = await sender.send(delivery(url), 1_790_000_000_000)
        assert (told.status, told.error) == (0, error)
    finally:
        await sender.close()


async def test_a_secret_that_cannot_be_opened_is_an_error_of_its_own():
    sealed = WebhookSecret(secret_sealed=BOX.seal(SECRET, "webhook:lion"))  # another tenant's
    sender = Sender(BOX, Hosts(["41.90.0.1"]), private_allowed=False)
    try:
        told = await sender.send(delivery(secrets=[sealed]), 1_790_000_000_000)
        assert told.error == "sealed-secret"
    finally:
        await sender.close()
