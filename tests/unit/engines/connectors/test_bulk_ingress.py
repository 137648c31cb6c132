"""What is received of bulks: how much of it is taken, and what an error says of a bulk's outcome."""

import pytest
from unit.engines.connectors.connector_kit import NOW_MS
from unit.engines.connectors.test_fspiop_ingress import (
    BULK_DONE,
    BULK_QUOTE,
    BULK_QUOTED,
    BULK_TRANSFER,
    QUOTE_ID,
    TRANSFER_ID,
    error,
    send,
)

from payhub_engines.connectors.mojaloop.bulk_terms import BODY_BYTES_MAX
from payhub_engines.connectors.mojaloop.ingress import FspiopRefusal
from payhub_engines.connectors.mojaloop.received.bulk import PAYMENTS_MAX
from payhub_engines.connectors.mojaloop.received.names import PAYEE_BULK_QUOTE_TRANSFER
from payhub_platform.clock import iso

MANY = {
    "bulkQuotes": (BULK_QUOTE, "individualQuotes"),
    "bulkTransfers": (BULK_TRANSFER, "individualTransfers"),
}


@pytest.mark.parametrize("resource", MANY)
def test_a_bulk_of_more_payments_than_an_instance_holds_is_3103(buffalo, resource):
    body, name = MANY[resource]
    [item] = body[name]
    assert send(buffalo, "POST", f"/{resource}", {**body, name: [item] * PAYMENTS_MAX}).callback is not None
    with pytest.raises(FspiopRefusal) as refused:
        send(buffalo, "POST", f"/{resource}", {**body, name: [item] * (PAYMENTS_MAX + 1)})
    assert (refused.value.status, refused.value.error_code) == (400, "3103")
    assert refused.value.description.startswith(f"/{name}: ")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/bulkQuotes", BULK_QUOTE),
        ("PUT", f"/bulkQuotes/{QUOTE_ID}", BULK_QUOTED),
        ("POST", "/bulkTransfers", BULK_TRANSFER),
    ],
)
def test_a_body_that_is_larger_than_an_instance_holds_is_3104(buffalo, method, path, body):
    padded = {**body, "unknown": "x" * BODY_BYTES_MAX}
    with pytest.raises(FspiopRefusal) as refused:
        send(buffalo, method, path, padded)
    assert (refused.value.status, refused.value.error_code) == (400, "3104")


def test_a_bulk_quote_whose_answer_would_be_larger_than_an_instance_holds_is_3104(buffalo):
    """Every packet holds both parties, so that a long payer counts as often as there are payments."""
    [item] = BULK_QUOTE["individualQuotes"]
    names = {"firstName": "Ng" * 60, "lastName": "Wa" * 60}
    payer = {**BULK_QUOTE["payer"], "name": "N" * 120, "personalInfo": {"complexName": names}}
    many = {**BULK_QUOTE, "individualQuotes": [{**item, "note": "n" * 128}] * PAYMENTS_MAX}
    assert send(buffalo, "POST", "/bulkQuotes", many).callback is not None
    with pytest.raises(FspiopRefusal) as refused:
        send(buffalo, "POST", "/bulkQuotes", {**many, "payer": payer})
    assert (refused.value.status, refused.value.error_code) == (400, "3104")


@pytest.mark.parametrize(
    ("method", "code", "state", "is_kept"),
    [
        ("PUT", "3303", "ABORTED", True),
        ("PUT", "5104", "ABORTED", True),
        ("PUT", "3210", "NOT_FOUND", False),
        ("PUT", "2001", "UNKNOWN", False),
        ("PUT", "3106", "UNKNOWN", False),
        ("PATCH", "5104", "UNKNOWN", False),
    ],
)
def test_an_error_says_whether_a_bulk_is_over(buffalo, method, code, state, is_kept):
    callback = send(buffalo, method, f"/bulkTransfers/{TRANSFER_ID}/error", error(code)).callback
    assert callback.variables["bulkTransferResult"] == {"state": state, "results": []}
    assert callback.variables["error"]["code"] == code
    assert ("bulkTransferRefusal" in callback.variables) == is_kept


def test_results_are_told_with_their_state_and_who_tells_them(buffalo):
    callback = send(buffalo, "PUT", f"/bulkTransfers/{TRANSFER_ID}", BULK_DONE).callback
    assert callback.variables == {
        "bulkTransferResult": {"state": "COMPLETED", "results": BULK_DONE["individualTransferResults"]},
        "error": None,
        "answeredBy": "lion",
    }


def test_a_bulk_that_was_never_quoted_is_refused_once_unless_it_is_over_anyway(buffalo):
    body = {**BULK_TRANSFER, "expiration": iso(NOW_MS + 10_000)}
    prepare = send(buffalo, "POST", "/bulkTransfers", body).callback
    subject = prepare.subject
    assert (subject.process, subject.key) == (PAYEE_BULK_QUOTE_TRANSFER, BULK_TRANSFER["bulkQuoteId"])
    assert (subject.answer_process, subject.or_unknown) == ("answer-again", True)
    assert subject.given["query"] == {"resource": "bulkTransfers", "path": [TRANSFER_ID]}
    assert (subject.given["queriedBy"], subject.given["queryRefusal"]["code"]) == ("lion", "3209")
    assert prepare.known_as == f":bulk-transfer/{TRANSFER_ID}"
    again = send(buffalo, "POST", "/bulkTransfers", body).callback
    assert again.subject.answer_key == subject.answer_key
    late = send(buffalo, "POST", "/bulkTransfers", {**body, "expiration": iso(NOW_MS)}).callback
    assert not late.subject.or_unknown


def test_a_question_about_a_bulk_names_the_instance_that_knows_it(buffalo):
    quote = send(buffalo, "GET", f"/bulkQuotes/{QUOTE_ID}").callback.subject
    transfer = send(buffalo, "GET", f"/bulkTransfers/{TRANSFER_ID}").callback.subject
    assert quote.process == transfer.process == PAYEE_BULK_QUOTE_TRANSFER
    assert (quote.key, transfer.key) == (QUOTE_ID, f":bulk-transfer/{TRANSFER_ID}")
    assert "bulkQuote" in quote.variables
    assert "bulkQuote" not in transfer.variables
