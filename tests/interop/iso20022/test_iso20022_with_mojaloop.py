"""What we write in ISO 20022 read by Mojaloop's own transformer, and what it writes by us."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from payhub_engines.connectors.mojaloop import ilp, messages, ulids
from payhub_engines.connectors.mojaloop.iso20022.reading import read
from payhub_engines.connectors.mojaloop.iso20022.writing import Frame, write
from payhub_platform import ids
from payhub_platform.contracts import fspiop
from payhub_platform.contracts.tenant import SchemeConnection

HERE = Path(__file__).parent
HEADERS = {"fspiop-source": "lion", "fspiop-destination": "buffalo"}
ULID = "01JBVM19DFKNRWC21FGJNTHRAT"
TIME = "2026-12-31T23:59:59.000Z"
ISO = SchemeConnection(
    base_url="", switch_fsp_id="switch", switch_public_key_pem="", versions=("2.0",), iso20022=True
)
Ask = Callable[[list[dict[str, Any]]], list[Any]]


def party(kind: str, identifier: str, fsp: str, **more: Any) -> fspiop.Party:
    info = fspiop.PartyIdInfo(party_id_type=kind, party_identifier=identifier, fsp_id=fsp)
    return fspiop.Party(party_id_info=info, **more)


NAMED = fspiop.PersonalInfo(complex_name=fspiop.ComplexName(first_name="Ngũgĩ", last_name="wa Thiong'o"))
SHOP = party("BUSINESS", "duka 1", "buffalo", name="Duka", supported_currencies=["KES"])
MEMBER = party("MSISDN", "254700200001", "lion", name="Ngũgĩ", personal_info=NAMED)
KES = fspiop.FspMoney(currency="KES", amount="100.5")
QUOTE = fspiop.QuoteRequest(
    quote_id=ULID,
    transaction_id=ids.derive("transaction"),
    payee=SHOP,
    payer=MEMBER,
    amount_type="RECEIVE",
    amount=KES,
    transaction_type=fspiop.TransactionType(scenario="PAYMENT", initiator="PAYER", initiator_type="BUSINESS"),
    expiration=TIME,
)
TERMS = ilp.agree(ilp.transaction_of(QUOTE, KES, TIME), "secret", ISO)
MESSAGES: list[tuple[str, str, fspiop.Message, list[str]]] = [
    ("parties", "put", fspiop.PartyResponse(party=MEMBER), ["MSISDN", "254700200001"]),
    ("parties", "put", fspiop.PartyResponse(party=SHOP), ["BUSINESS", "duka 1"]),
    ("quotes", "post", QUOTE, []),
    (
        "quotes",
        "put",
        fspiop.QuoteResponse(
            transfer_amount=KES,
            payee_receive_amount=KES,
            payee_fsp_fee=fspiop.FspMoney(currency="KES", amount="0"),
            expiration=TIME,
            ilp_packet=TERMS.packet,
            condition=TERMS.condition,
        ),
        [ULID],
    ),
    (
        "transfers",
        "post",
        fspiop.TransferPrepare(
            transfer_id=ids.derive("transfer"),
            payer_fsp="lion",
            payee_fsp="buffalo",
            amount=KES,
            ilp_packet=TERMS.packet,
            condition=TERMS.condition,
            expiration=TIME,
        ),
        [],
    ),
    *(
        (
            "transfers",
            form,
            fspiop.TransferFulfil(transfer_state=state, completed_timestamp=TIME),
            [ULID],
        )
        for form, state in (("put", "RESERVED"), ("put", "COMMITTED"), ("patch", "ABORTED"))
    ),
    *(
        (
            resource,
            "putError",
            fspiop.ErrorResponse(
                error_information=fspiop.ErrorInformation(error_code="5104", error_description="no")
            ),
            path,
        )
        for resource, path in (("parties", ["MSISDN", "1"]), ("quotes", [ULID]), ("transfers", [ULID]))
    ),
]


@pytest.fixture(scope="module")
def mojaloop(node_modules, driver) -> Ask:
    modules = node_modules(HERE)
    return lambda questions: driver(HERE / "driver.js", modules, questions)


def question(direction: str, resource: str, form: str, body: Any, path: list[str]) -> dict[str, Any]:
    names = ("Type", "ID") if resource == "parties" else ("ID",)
    params = dict(zip(names, path, strict=False)) | ({"IdPath": "/".join(path)} if path else {})
    told = {"direction": direction, "resource": resource, "form": form, "body": body}
    return {**told, "headers": HEADERS, "params": params, "context": context()}


def context() -> dict[str, Any]:
    """Return the messages before, which their transformer takes the parties from."""
    written = {
        (resource, form): write(
            message,
            Frame(source="lion", destination="buffalo", resource=resource, path=path, identity="", at_ms=0),
        )
        for resource, form, message, path in MESSAGES
        if resource == "quotes"
    }
    return {"isoPostQuote": written["quotes", "post"], "isoPostQuoteResponse": written["quotes", "put"]}


def fspiop_of(resource: str, message: fspiop.Message) -> Any:
    """Return a message as it is after ISO 20022, which has no text for an error about a party."""
    value = msgspec.to_builtins(message)
    if resource == "parties" and "errorInformation" in value:
        del value["errorInformation"]["errorDescription"]
    return value


def test_mojaloop_reads_what_we_write(mojaloop: Ask) -> None:
    questions = []
    for resource, form, message, path in MESSAGES:
        frame = Frame(
            source="lion", destination="buffalo", resource=resource, path=path, identity="", at_ms=0
        )
        questions.append(question("toFspiop", resource, form, write(message, frame), path))
    for (resource, form, message, _), answer in zip(MESSAGES, mojaloop(questions), strict=True):
        found, expected = answer["body"], fspiop_of(resource, message)
        if resource == "parties" and form == "putError":
            del found["errorInformation"]["errorDescription"]
        for name in ("transactionId", "transferId"):
            if name in expected:
                # Outside an own id is the ULID of the same bits.
                assert len(found[name]) == len(ULID)
                found[name] = ulids.read(found[name])
        assert found == expected, (resource, form)


def test_we_read_what_mojaloop_writes(mojaloop: Ask) -> None:
    questions = [
        question("toIso", resource, form, msgspec.to_builtins(message), path)
        for resource, form, message, path in MESSAGES
    ]
    for (resource, form, message, path), answer in zip(MESSAGES, mojaloop(questions), strict=True):
        kind = type(message)
        assert "refused" not in answer, answer
        found = fspiop_of(resource, messages.convert(read(kind, answer["body"], path), kind))
        assert found == fspiop_of(resource, message), (resource, form)
