"""FSPIOP messages read from their ISO 20022 form (API Definition 2.0, ISO 20022 version)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from payhub_engines.connectors.mojaloop import ilp, ulids
from payhub_engines.connectors.mojaloop.iso20022.codes import AMOUNT_TYPES, FSPIOP_STATES, Json
from payhub_engines.connectors.mojaloop.refusal import malformed
from payhub_platform.contracts.fspiop import (
    ErrorResponse,
    Message,
    PartyResponse,
    QuoteRequest,
    QuoteResponse,
    TransferFulfil,
    TransferPrepare,
)
from payhub_platform.contracts.fspiop_fx import FxQuoteResponse, FxTransferFulfil

_REFUND: Final = "REFUND"
_NAMES: Final = 4  # first; middle; last; display
_AMOUNTS: Final = ("ActiveCurrencyAndAmount", "ActiveOrHistoricCurrencyAndAmount")


def read(kind: type[Message], value: Any, path: list[str]) -> Json:
    """Return FSPIOP's form of a body that was received, not yet checked against its type.

    Raises:
        FspiopRefusal: 3101, its ILP packet cannot be read, or the message has no ISO 20022 form.
    """
    reader = _READERS.get(kind)
    if reader is None or not isinstance(value, dict):
        raise malformed("It is no ISO 20022 message of this resource.")
    return reader(value, path)


def _read_party(value: Json, path: list[str]) -> Json:
    if _at(value, "Rpt", "Vrfctn") is False:
        # A party that was not verified is told by the error form; taken for one, it would be paid.
        raise malformed("The report verifies no party.", "/Rpt/Vrfctn")
    found = _at(value, "Rpt", "UpdtdPtyAndAcctId") or {}
    party = _party_in(found, "Pty", "Agt", "Acct")
    # The path has the identifier that was asked for; some reports leave it out.
    asked = dict(zip(("partyIdType", "partyIdentifier", "partySubIdOrType"), path, strict=False))
    return {"party": {**party, "partyIdInfo": asked | party["partyIdInfo"]}}


def _read_error(value: Json, _path: list[str]) -> Json:
    code = _at(value, "Rpt", "Rsn", "Cd") or _at(value, "TxInfAndSts", "StsRsnInf", "Rsn", "Prtry")
    told = _at(value, "TxInfAndSts", "StsRsnInf", "AddtlInf") or f"The other side reports {code}."
    return {"errorInformation": _drop_absent({"errorCode": code, "errorDescription": told})}


def _read_quote_request(value: Json, _path: list[str]) -> Json:
    transfer = _at(value, "CdtTrfTxInf") or {}
    scenario, instruction = _at(transfer, "Purp", "Prtry"), _id(transfer, "InstrId")
    is_refund = scenario == _REFUND and instruction is not None
    kind: Json = {
        "scenario": scenario,
        # ISO 20022 does not carry who started it: with a request to pay it was the payee.
        "initiator": "PAYEE" if instruction is not None and not is_refund else "PAYER",
        "initiatorType": "BUSINESS",
        "refundInfo": {"originalTransactionId": instruction} if is_refund else None,
    }
    return _drop_absent(
        {
            "quoteId": _id(transfer, "TxId"),
            "transactionId": _id(transfer, "EndToEndId"),
            "transactionRequestId": None if is_refund else instruction,
            "payee": _party_in(transfer, "Cdtr", "CdtrAgt", "CdtrAcct"),
            "payer": _party_in(transfer, "Dbtr", "DbtrAgt", "DbtrAcct"),
            "amountType": AMOUNT_TYPES.get(str(_at(transfer, "ChrgBr")), "SEND"),
            "amount": _money_in(transfer, "IntrBkSttlmAmt"),
            "transactionType": _drop_absent(kind),
            "expiration": _at(value, "GrpHdr", "PmtInstrXpryDtTm"),
        }
    )


def _read_quote_response(value: Json, _path: list[str]) -> Json:
    transfer = _at(value, "CdtTrfTxInf") or {}
    return _drop_absent(
        {
            "transferAmount": _money_in(transfer, "IntrBkSttlmAmt"),
            "payeeReceiveAmount": _money_in(transfer, "InstdAmt"),
            "payeeFspFee": _money_in(transfer, "ChrgsInf", "Amt"),
            "expiration": _at(value, "GrpHdr", "PmtInstrXpryDtTm"),
            **_terms_in(transfer),
        }
    )


def _read_transfer(value: Json, _path: list[str]) -> Json:
    transfer = _at(value, "CdtTrfTxInf") or {}
    return _drop_absent(
        {
            "transferId": _id(transfer, "TxId"),
            "payeeFsp": _at(transfer, "CdtrAgt", "FinInstnId", "Othr", "Id"),
            "payerFsp": _at(transfer, "DbtrAgt", "FinInstnId", "Othr", "Id"),
            "amount": _money_in(transfer, "IntrBkSttlmAmt"),
            "expiration": _at(value, "GrpHdr", "PmtInstrXpryDtTm"),
            **_terms_in(transfer),
        }
    )


def _status_reader(state_field: str) -> Callable[[Json, list[str]], Json]:
    def read_status(value: Json, _path: list[str]) -> Json:
        status = _at(value, "TxInfAndSts") or {}
        told = _at(status, "TxSts")
        return _drop_absent(
            {
                state_field: FSPIOP_STATES.get(str(told), told),
                "fulfilment": _at(status, "ExctnConf"),
                "completedTimestamp": _at(status, "PrcgDt", "DtTm"),
            }
        )

    return read_status


def _read_fx_quote(value: Json, _path: list[str]) -> Json:
    transfer = _at(value, "CdtTrfTxInf") or {}
    terms = {
        "conversionId": _id(transfer, "InstrId"),
        "determiningTransferId": _id(transfer, "EndToEndId"),
        "initiatingFsp": _at(transfer, "Dbtr", "FinInstnId", "Othr", "Id"),
        "counterPartyFsp": _at(transfer, "Cdtr", "FinInstnId", "Othr", "Id"),
        "amountType": _at(transfer, "InstrForCdtrAgt", "InstrInf"),
        "sourceAmount": _money_in(transfer, "UndrlygCstmrCdtTrf", "InstdAmt"),
        "targetAmount": _money_in(transfer, "IntrBkSttlmAmt"),
        "expiration": _at(value, "GrpHdr", "PmtInstrXpryDtTm"),
    }
    condition = _at(transfer, "VrfctnOfTerms", "Sh256Sgntr")
    return _drop_absent({"conversionTerms": _drop_absent(terms), "condition": condition})


def _party_in(value: Json, side: str, agent: str, account: str) -> Json:
    # Mojaloop's own transformer writes an organisation's type under OrgId and its identifier under PrvtId.
    groups = [_at(value, side, "Id", group, "Othr") for group in ("OrgId", "PrvtId")]
    kinds = [_at(group, "SchmeNm", "Prtry") for group in groups]
    identifiers = [_at(group, "Id") for group in groups]
    names = (str(_at(value, side, "Nm") or "").split(";") + [""] * _NAMES)[:_NAMES]
    first, middle, last, display = (name.strip() or None for name in names)
    complex_name = _drop_absent({"firstName": first, "middleName": middle, "lastName": last})
    currency = _at(value, account, "Ccy")
    info = {
        "partyIdType": kinds[0] or kinds[1],
        "partyIdentifier": identifiers[0] or identifiers[1],
        "partySubIdOrType": _at(value, agent, "FinInstnId", "ClrSysMmbId", "MmbId"),
        "fspId": _at(value, agent, "FinInstnId", "Othr", "Id"),
    }
    return _drop_absent(
        {
            "partyIdInfo": _drop_absent(info),
            "name": display,
            "personalInfo": {"complexName": complex_name} if complex_name else None,
            "supportedCurrencies": [currency] if currency else None,
        }
    )


def _terms_in(transfer: Json) -> Json:
    """Return packet and condition: of version 4, the packet holds both."""
    packet = _at(transfer, "VrfctnOfTerms", "IlpV4PrepPacket")
    if packet is None:
        return {}
    try:
        return {"ilpPacket": packet, "condition": ilp.parse_packet(str(packet)).condition}
    except ilp.PacketError as error:
        raise malformed(error.detail, "/CdtTrfTxInf/VrfctnOfTerms/IlpV4PrepPacket") from error


def _money_in(value: Json, *path: str) -> Json | None:
    found = _at(value, *path)
    if not isinstance(found, dict):
        return None
    amount = next((found[name] for name in _AMOUNTS if name in found), None)
    return _drop_absent({"currency": found.get("Ccy"), "amount": amount})


def _id(transfer: Json, name: str) -> str | None:
    found = _at(transfer, "PmtId", name)
    return None if found is None else ulids.read(str(found))


def _at(value: Any, *path: str) -> Any:
    """Return what lies at a path; None where anything on the way is absent or no object."""
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _drop_absent(value: Json) -> Json:
    return {name: item for name, item in value.items() if item is not None}


_READERS: Final[Mapping[type[Message], Callable[[Json, list[str]], Json]]] = {
    PartyResponse: _read_party,
    ErrorResponse: _read_error,
    QuoteRequest: _read_quote_request,
    QuoteResponse: _read_quote_response,
    TransferPrepare: _read_transfer,
    TransferFulfil: _status_reader("transferState"),
    FxQuoteResponse: _read_fx_quote,
    FxTransferFulfil: _status_reader("conversionState"),
}
