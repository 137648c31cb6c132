"""How payments become bulks, and what the answer to a bulk quote may grow to."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.engines.connectors.connector_kit import NOW_MS

from payhub_engines.connectors.mojaloop import ilp
from payhub_engines.connectors.mojaloop.bulk_terms import (
    BODY_BYTES_MAX,
    answer_bytes,
    grouped,
    individual_quote,
)
from payhub_engines.connectors.mojaloop.bulk_variables import BulkItem, BulkPayment, LookedUp
from payhub_platform.clock import iso
from payhub_platform.contracts.fspiop import FspMoney, Party, PartyIdInfo, QuoteRequest
from payhub_platform.contracts.fspiop_bulk import IndividualQuoteResult
from payhub_platform.contracts.tenant import SchemeConnection

PAYER = PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200001", fsp_id="buffalo")
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=128)
KES = FspMoney(amount="1", currency="KES")


def item(number, fsp=None, note=None):
    return BulkItem(
        transaction_id=f"transaction-{number:024}",
        quote_id=f"quote-{number:030}",
        transfer_id=f"transfer-{number}",
        payee=PartyIdInfo(party_id_type="MSISDN", party_identifier=str(number), fsp_id=fsp),
        party_key=f"MSISDN/{number}",
        amount=KES,
        note=note,
    )


def bulk(items, places):
    found = [LookedUp(party_key=f"MSISDN/{number}", payee_fsp=fsp) for number, fsp in places.items()]
    return BulkPayment(bulk_id="b", payer=PAYER, payments=items, found=found)


def test_each_institution_has_its_bulk_and_neighbours_have_none():
    items = [item(1), item(2), item(3), item(4, "buffalo"), item(5, "rhino"), item(6), item(7)]
    places = {1: "lion", 2: "rhino", 3: "lion", 5: "lion", 6: "buffalo"}
    found = grouped(bulk(items, places), "tenant", "buffalo", NOW_MS)
    assert [(one.payee_fsp, [item.transfer_id for item in one.payments]) for one in found.bulks] == [
        ("lion", ["transfer-1", "transfer-3"]),
        ("rhino", ["transfer-2"]),
    ]
    assert [one.transfer_id for one in found.neighbours] == ["transfer-4", "transfer-6"]
    assert [(int(one.transaction_id[-1]), one.error.code) for one in found.refused] == [
        (5, "3204"),
        (7, "3204"),
    ]
    assert all(one.payee.fsp_id == group.payee_fsp for group in found.bulks for one in group.payments)


def test_ids_of_bulks_are_of_tenant_bulk_and_place_and_the_same_each_time():
    made = bulk([item(1), item(2)], {1: "lion", 2: "rhino"})
    ids = {(one.bulk_quote_id, one.bulk_transfer_id) for one in grouped(made, "tenant", "x", NOW_MS).bulks}
    assert ids == {
        (one.bulk_quote_id, one.bulk_transfer_id) for one in grouped(made, "tenant", "x", NOW_MS).bulks
    }
    others = [
        grouped(made, "another", "x", NOW_MS),
        grouped(msgspec.structs.replace(made, bulk_id="c"), "tenant", "x", NOW_MS),
    ]
    told = [one for group in others for one in group.bulks]
    everything = {*ids, *((one.bulk_quote_id, one.bulk_transfer_id) for one in told)}
    assert len({each for pair in everything for each in pair}) == 12


def test_of_a_bulk_whose_time_is_over_nothing_is_paid_inside_the_institution_either():
    made = bulk([item(1), item(4, "buffalo")], {1: "lion"})
    late = msgspec.structs.replace(made, expires_at_ms=NOW_MS)
    found = grouped(late, "tenant", "buffalo", NOW_MS)
    assert (found.bulks, found.neighbours) == ([], [])
    assert [one.error.code for one in found.refused] == ["3303", "3303"]
    assert grouped(late, "tenant", "buffalo", NOW_MS - 1).refused == []


def test_a_bulk_whose_answer_would_be_too_large_is_more_than_one():
    items = [item(number, note="€" * 128) for number in range(100)]
    found = grouped(bulk(items, dict.fromkeys(range(100), "lion")), "tenant", "buffalo", NOW_MS)
    assert len(found.bulks) > 1
    assert [one for group in found.bulks for one in group.payments] == [
        msgspec.structs.replace(one, payee=msgspec.structs.replace(one.payee, fsp_id="lion")) for one in items
    ]
    payer = Party(party_id_info=PAYER)
    for group in found.bulks:
        assert answer_bytes([individual_quote(one) for one in group.payments], payer) <= BODY_BYTES_MAX
    assert len({group.bulk_quote_id for group in found.bulks}) == len(found.bulks)


@pytest.mark.parametrize("version", [1, 4])
@settings(max_examples=50)
@given(identifier=TEXT, sub_id=TEXT, name=TEXT, note=TEXT)
def test_no_answer_is_larger_than_is_foretold(version, identifier, sub_id, name, note):
    payee = PartyIdInfo(
        party_id_type="PERSONAL_ID",
        party_identifier=identifier,
        party_sub_id_or_type=sub_id,
        fsp_id="f" * 32,
    )
    asked = individual_quote(msgspec.structs.replace(item(1, note=note), payee=payee, name=name))
    payer = Party(party_id_info=PAYER)
    quote = QuoteRequest(
        quote_id=asked.quote_id,
        transaction_id=asked.transaction_id,
        payee=asked.payee,
        payer=payer,
        amount_type=asked.amount_type,
        amount=asked.amount,
        transaction_type=asked.transaction_type,
        note=note,
    )
    amount = FspMoney(amount="12345678901234", currency="KES")
    scheme = SchemeConnection(base_url="", switch_fsp_id="", switch_public_key_pem="", ilp_version=version)
    made = ilp.agree(ilp.transaction_of(quote, amount, iso(0)), "secret", scheme)
    result = IndividualQuoteResult(
        quote_id=asked.quote_id,
        transfer_amount=amount,
        payee_receive_amount=amount,
        payee_fsp_fee=amount,
        ilp_packet=made.packet,
        condition=made.condition,
    )
    assert len(msgspec.json.encode(result)) < answer_bytes([asked], payer)
