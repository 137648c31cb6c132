import msgspec
import pytest
from unit.engines.connectors.connector_kit import NOW_MS, PAYMENT

from payhub_engines.connectors.payment import start_variables, transfer_status
from payhub_platform import ids


def status(variables, ended_at_ms=None):
    return transfer_status(PAYMENT, variables, NOW_MS, ended_at_ms, handed_over=False)


def test_ids_are_derived_and_the_payer_is_of_the_tenant(started):
    assert started["transactionId"] == PAYMENT
    assert started["quoteId"] == ids.derive(PAYMENT, "quote")
    assert started["transferId"] == ids.derive(PAYMENT, "transfer")
    assert started["payer"]["fspId"] == "buffalo"
    assert "fspId" not in started["payee"]
    assert started["partyKey"] == "MSISDN/254700100001"
    assert started["amount"] == {"amount": "100.5", "currency": "KES"}
    assert started["error"] is None
    assert started["correlationId"] == "k-1"


def test_the_same_request_starts_with_the_same_ids(request_to_pay, buffalo):
    names = ("transactionId", "quoteId", "transferId")
    later = start_variables(request_to_pay, buffalo, NOW_MS + 5)
    first = start_variables(request_to_pay, buffalo, NOW_MS)
    assert [first[name] for name in names] == [later[name] for name in names]


def test_a_note_is_cut_to_what_the_scheme_takes(request_to_pay, buffalo):
    long = msgspec.structs.replace(request_to_pay, note="n" * 500)
    assert len(start_variables(long, buffalo, NOW_MS)["note"]) == 128


def test_a_payment_is_pending_until_its_process_has_ended(started):
    assert status(started).state == "PENDING"
    assert status(started | {"paymentState": "COMPLETED"}).state == "PENDING"
    told = status(started | {"paymentState": "COMPLETED"}, NOW_MS + 1500)
    assert (told.state, told.ended_at, told.error) == ("COMPLETED", "2025-10-09T08:53:21.500Z", None)
    assert (told.amount.amount, told.amount.currency) == ("100.50", "KES")
    assert told.client_ref_id == "ref-1"


@pytest.mark.parametrize("ended_at_ms", [None, NOW_MS + 1])
def test_an_error_is_told_when_the_payment_has_failed(started, ended_at_ms):
    error = {"code": "4001", "description": "no funds"}
    told = status(started | {"paymentState": "FAILED", "error": error}, ended_at_ms)
    assert (told.error is not None) == (ended_at_ms is not None)
