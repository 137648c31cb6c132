"""What institutions are told of an end, and that no event of the log can break the telling."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.operations_records import PAYER, outgoing, record
from support.webhook_receivers import endpoint

from payhub_operations.webhooks.messages import ends_of, message_of
from payhub_operations.webhooks.model import Message

REFUND = {"scenario": "REFUND", "refundInfo": {"originalTransactionId": "pay-0"}}
AMOUNT = {"amount": "10.5", "currency": "KES"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=9), part, max_size=3),
    max_leaves=8,
)
NAMES = "paymentState error amount clientRefId correlationId transactionType quote".split()


def told(*variables: Any, process: str = "payer-fund-transfer", **fields: Any) -> Message | None:
    [end] = ends_of("north", [record(9, "InstanceCompleted", process=process, **fields)])
    return message_of(end, [msgspec.json.encode(each).decode() for each in variables])


def data(message: Message | None) -> dict[str, Any]:
    assert message is not None
    body = json.loads(message.body)
    assert body["type"] == message.type
    found: dict[str, Any] = body["data"]
    return found


def test_a_completed_payment_is_told_without_its_parties():
    message = told(
        {"payer": PAYER, "amount": AMOUNT, "clientRefId": "ref-1", "correlationId": "c-1", "error": None},
        {"error": {"code": "5001", "description": "try again"}},
        {"paymentState": "COMPLETED"},
    )
    assert message is not None
    assert json.loads(message.body) == {
        "type": "payment.completed",
        "timestamp": "2026-09-21T14:13:20.090Z",
        "data": {
            "tenant": "buffalo",
            "transactionId": "pay-1",
            "direction": "outgoing",
            "state": "COMPLETED",
            "amount": {"amount": "10.50", "currency": "KES"},
            "clientRefId": "ref-1",
            "correlationId": "c-1",
        },
    }


def test_a_failed_one_says_why_and_names_nobody():
    error = {"code": "3204", "description": "Nobody has +254712345678"}
    failed = data(told({"amount": AMOUNT}, {"error": error, "paymentState": "FAILED"}))
    assert failed["error"] == {"code": "3204", "description": "Nobody has …5678"}
    assert failed["state"] == "FAILED"


@pytest.mark.parametrize(
    ("process", "variables", "kind", "named"),
    [
        ("payer-fund-transfer", {"transactionType": REFUND}, "refund.completed", "pay-0"),
        ("payer-fund-transfer", {"transactionType": {"scenario": "TRANSFER"}}, "payment.completed", None),
        ("payee-quote-transfer", {"quote": {"amount": AMOUNT}}, "payment.completed", None),
        ("payee-quote-transfer", {"quote": {"transactionType": REFUND}}, "refund.completed", "pay-0"),
        ("payee-transaction-request", {"amount": AMOUNT}, "transaction_request.completed", None),
    ],
)
def test_each_kind_of_end_has_its_type(process: str, variables: Any, kind: str, named: str | None):
    message = told(variables, {"paymentState": "COMPLETED"}, process=process)
    found = data(message)
    assert message is not None
    assert (message.type, found.get("originalTransactionId")) == (kind, named)
    identity = "transactionRequestId" if process == "payee-transaction-request" else "transactionId"
    assert found[identity] == "pay-1"
    assert message.is_own == (process != "payee-quote-transfer")
    callback = endpoint("", purpose="callback", events=[kind])
    assert callback.takes(message) == message.is_own
    assert not endpoint("", events=["payment.failed"]).takes(message)


def test_what_a_process_does_not_say_is_not_told():
    assert told({"amount": AMOUNT}) is None
    assert told({"paymentState": "PENDING"}) is None
    pending = [each for each in outgoing(1) if each.type != "InstanceCompleted"]
    assert ends_of("north", pending) == []
    for fields in ({"process": "account-lookup"}, {"payment": ""}, {"payment": "a\0"}, {"instance": 0}):
        assert ends_of("north", [record(9, "InstanceCompleted", **fields)]) == []


def test_an_id_is_of_one_event_alone_and_of_that_for_ever():
    def identity(**fields: Any) -> str:
        message = told({"paymentState": "FAILED"}, **fields)
        assert message is not None
        return message.message

    assert identity() == identity() == "msg_44240f19-2dda-5ace-8e1e-bf0ad3e39209"
    assert identity() != identity(tenant="lion")
    assert "." not in identity()


@settings(max_examples=40)
@given(st.lists(JSON | st.dictionaries(st.sampled_from(NAMES), JSON), max_size=4))
def test_no_variables_break_it(variables: list[Any]):
    message = told(*variables, {"paymentState": "COMPLETED"})
    assert data(message)["state"] == "COMPLETED"
