"""Our packets, conditions and fulfilments read by Mojaloop's own library, and its by us."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from payhub_engines.connectors.mojaloop import ilp
from payhub_platform.contracts.fspiop import FspMoney, QuoteRequest
from payhub_platform.contracts.tenant import SchemeConnection

HERE = Path(__file__).parent
SECRETS = ["secret", "s e/cret é"]
VERSIONS = {"v1": 1, "v4": 4}
AMOUNTS = [("100.25", "KES"), ("7", "UGX"), ("0.01", "USD"), ("1.234", "KWD"), ("999999999999999", "KES")]
EXPIRATION = "2026-12-31T23:59:59.007Z"
Ask = Callable[[list[dict[str, Any]]], list[Any]]


@pytest.fixture(scope="module")
def mojaloop(node_modules, driver) -> Ask:
    modules = node_modules(HERE)
    return lambda questions: driver(HERE / "driver.js", modules, questions)


def quote_of(amount: str, currency: str) -> dict[str, Any]:
    """Return a quote request with names beyond ASCII, in the order of fields in which we write."""
    payee = {"partyIdType": "ALIAS", "partyIdentifier": "Duka", "partySubIdOrType": "Till-1", "fspId": "lion"}
    payer = {"partyIdType": "MSISDN", "partyIdentifier": "254700200001", "fspId": "buffalo"}
    return {
        "quoteId": "7c23e80c-d078-4077-8263-2c047876fcf6",
        "transactionId": "85feac2f-39b2-491b-817e-4a03203d4f14",
        "payee": {"partyIdInfo": payee, "name": 'Ngũgĩ "é" / \\'},
        "payer": {"partyIdInfo": payer},
        "amountType": "SEND",
        "amount": {"currency": currency, "amount": amount},
        "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
        "note": "rent 1/2",
    }


CASES = [
    (version, secret, quote_of(*amount)) for version in VERSIONS for secret in SECRETS for amount in AMOUNTS
]


def agreed(version: str, secret: str, quote: dict[str, Any]) -> ilp.Agreement:
    """Answer a quote as a payee of ours does."""
    scheme = SchemeConnection(
        base_url="", switch_fsp_id="switch", switch_public_key_pem="", ilp_version=VERSIONS[version]
    )
    request = msgspec.convert(quote, QuoteRequest)
    amount = msgspec.convert(quote["amount"], FspMoney)
    return ilp.agree(ilp.transaction_of(request, amount, EXPIRATION), secret, scheme)


def test_both_make_the_same_packet_condition_and_fulfilment(mojaloop: Ask) -> None:
    questions = [
        {
            "action": "packet",
            "version": version,
            "secret": secret,
            "quoteRequest": quote,
            # Their library takes the note of the answer, ours that of the question.
            "quoteResponse": {
                "transferAmount": quote["amount"],
                "expiration": EXPIRATION,
                "note": quote["note"],
            },
        }
        for version, secret, quote in CASES
    ]
    for case, theirs in zip(CASES, mojaloop(questions), strict=True):
        ours = agreed(*case)
        assert ours.packet == theirs["ilpPacket"]
        assert (ours.condition, ours.fulfilment) == (theirs["condition"], theirs["fulfilment"])
        # A payee of ours fulfils from the packet alone, whoever made it.
        assert ilp.fulfilment_of(theirs["ilpPacket"], case[1]) == theirs["fulfilment"]


def test_mojaloop_reads_our_packets_and_takes_our_transfers(mojaloop: Ask) -> None:
    decodes, fits = [], []
    for version, secret, quote in CASES:
        terms = agreed(version, secret, quote)
        decodes.append({"action": "decode", "version": version, "packet": terms.packet})
        transfer = {
            "payerFsp": "buffalo",
            "payeeFsp": "lion",
            "amount": quote["amount"],
            "ilpPacket": terms.packet,
        }
        fits.append({"action": "transferFits", "version": version, "transfer": transfer})
        other = {**transfer, "amount": {**quote["amount"], "amount": "3"}}
        fits.append({"action": "transferFits", "version": version, "transfer": other})
    for (_, _, quote), found in zip(CASES, mojaloop(decodes), strict=True):
        assert found["transaction"]["payee"] == quote["payee"]
        assert found["transaction"]["amount"] == quote["amount"]
    assert mojaloop(fits) == [True, False] * len(CASES)


def test_fulfilments_are_checked_alike(mojaloop: Ask) -> None:
    questions = []
    for version, secret, quote in CASES:
        terms = agreed(version, secret, quote)
        for fulfilment in (terms.fulfilment, terms.condition, "A" * 43, "short"):
            question = {"version": version, "fulfilment": fulfilment, "condition": terms.condition}
            questions.append({"action": "fulfils", **question})
    ours = [ilp.fulfils(question["fulfilment"], question["condition"]) for question in questions]
    assert mojaloop(questions) == ours
    assert sum(ours) == len(CASES)


def test_a_transaction_survives_their_reader_byte_for_byte(mojaloop: Ask) -> None:
    version, secret, quote = CASES[-1]
    (found,) = mojaloop(
        [{"action": "decode", "version": version, "packet": agreed(version, secret, quote).packet}]
    )
    data = ilp.parse_packet(agreed(version, secret, quote).packet).data
    assert json.loads(data) == found["transaction"]
