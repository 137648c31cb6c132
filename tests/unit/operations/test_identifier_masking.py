"""Identifiers are never shown whole, and are found by their hash inside one tenant only."""

import pytest

from payhub_operations.payments.identifiers import identifier_hasher, mask, mask_in_text


@pytest.mark.parametrize(
    ("id_type", "identifier", "shown"),
    [
        ("MSISDN", "254712345678", "MSISDN …5678"),
        ("ACCOUNT_ID", "12345678", "ACCOUNT_ID …5678"),
        ("ALIAS", "juma", "ALIAS …"),
        ("", "1234567", "…"),
        ("EMAIL", "", "EMAIL"),
    ],
)
def test_at_most_the_last_four_characters_are_shown(id_type: str, identifier: str, shown: str):
    assert mask(id_type, identifier) == shown


def test_the_hash_depends_on_key_and_tenant():
    one, other = identifier_hasher(b"1" * 32), identifier_hasher(b"2" * 32)
    hashes = {one("a", "254712345678"), one("b", "254712345678"), other("a", "254712345678")}
    assert len(hashes) == 3
    assert one("a", "bc") != one("ab", "c")


def test_the_same_identifier_written_otherwise_is_found():
    identify = identifier_hasher(b"1" * 32)
    assert identify("a", " +254712345678 ") == identify("a", "254712345678")
    assert identify("a", "Juma@Lion.ke") == identify("a", "juma@lion.ke")


def test_nothing_hashes_to_nothing():
    assert identifier_hasher(b"1" * 32)("a", "") == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("No party MSISDN/254712345678.", "No party MSISDN/…5678."),
        ("+254712345678 is not known", "…5678 is not known"),
        ("juma.o@lion.co.ke has no account", "… has no account"),
        ("Account KE1234567890123456 is closed", "Account …3456 is closed"),
        ("3204 Party not found at 10000000.50 KES", "3204 Party not found at 10000000.50 KES"),
        ("4f2c1a9e-0000-5000-8000-123456789012", "4f2c1a9e-0000-5000-8000-123456789012"),
    ],
)
def test_an_identifier_inside_a_sentence_is_masked_too(text: str, shown: str):
    assert mask_in_text(text) == shown
