"""FSPIOP messages written in their ISO 20022 form (API Definition 2.0, ISO 20022 version)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from payhub_engines.connectors.mojaloop import ilp, ulids
from payhub_engines.connectors.mojaloop.iso20022.codes import (
    ACTIVE,
    BEARERS,
    ERROR_CHARACTERS_MAX,
    HISTORIC,
    ORGANISATIONS,
    SHARED,
    STATES,
    Json,
)
from payhub_platform.clock import iso
from payhub_platform.contracts.fspiop import (
    ErrorResponse,
    FspMoney,
    Message,
    Party,
    PartyIdInfo,
    PartyResponse,
    QuoteRequest,
    QuoteResponse,
    TransferFulfil,
    TransferPrepare,
)
from payhub_platform.contracts.fspiop_fx import (
    FxMoney,
    FxQuoteRequest,
    FxTransferPrepare,
)

_PARTIES: Final = "parties"


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds a message that is sent: between whom, about what, when; ``identity`` is its content."""

    source: str
    destination: str
    resource: str
    path: list[str]
    identity: str
    at_ms: int

    @property
    def message_id(self) -> str:
        """The same message sent again has the same id."""
        return ulids.derived(
            "iso20022", self.source, self.destination, self.resource, *self.path, self.identity
        )


def write(message: Message, frame: Frame) -> Json:
    """Return the ISO 20022 form of a message that is sent.

    Raises:
        KeyError: the message has none.
    """
    return _WRITERS[type(message)](message, frame)


def _write_party(message: PartyResponse, frame: Frame) -> Json:
    party = message.party
    info = party.party_id_info
    found = {"Pty": _party(party), "Agt": _agent(info.fsp_id, info.party_sub_id_or_type)}
    if party.supported_currencies:
        found["Acct"] = {"Ccy": party.supported_currencies[0]}
    report = {"Vrfctn": True, "OrgnlId": frame.message_id, "UpdtdPtyAndAcctId": found}
    return {"Assgnmt": _assignment(frame), "Rpt": report}


def _write_error(message: ErrorResponse, frame: Frame) -> Json:
    error = message.error_information
    if frame.resource == _PARTIES:
        report = {"Rsn": {"Cd": error.error_code}, "OrgnlId": frame.message_id, "Vrfctn": False}
        return {"Assgnmt": _assignment(frame), "Rpt": report}
    told = error.error_description[:ERROR_CHARACTERS_MAX]
    reason = {"Rsn": {"Prtry": error.error_code}, "AddtlInf": told}
    return {"GrpHdr": _status_header(frame), "TxInfAndSts": {"StsRsnInf": reason}}


def _write_quote_request(message: QuoteRequest, frame: Frame) -> Json:
    kind = message.transaction_type
    ids = {"TxId": ulids.written(message.quote_id), "EndToEndId": ulids.written(message.transaction_id)}
    instruction = (
        kind.refund_info.original_transaction_id if kind.refund_info else message.transaction_request_id
    )
    if instruction is not None:
        ids["InstrId"] = ulids.written(instruction)
    transfer = {
        "PmtId": ids,
        **_between(message.payer, message.payee),
        "IntrBkSttlmAmt": _money(message.amount, ACTIVE),
        "Purp": {"Prtry": kind.scenario},
        "ChrgBr": BEARERS[message.amount_type],
    }
    return {"GrpHdr": _header(frame, message.expiration), "CdtTrfTxInf": transfer}


def _write_quote_response(message: QuoteResponse, frame: Frame) -> Json:
    payer, payee = _parties_of(message.ilp_packet, frame.destination, frame.source)
    transfer: Json = {
        "PmtId": {"TxId": ulids.written(frame.path[0])},
        **_between(payer, payee),
        "ChrgBr": SHARED,
        "IntrBkSttlmAmt": _money(message.transfer_amount, ACTIVE),
    }
    if message.payee_receive_amount is not None:
        transfer["InstdAmt"] = _money(message.payee_receive_amount, HISTORIC)
    if message.payee_fsp_fee is not None:
        agent = _agent(payee.party_id_info.fsp_id or frame.source)
        transfer["ChrgsInf"] = {"Amt": _money(message.payee_fsp_fee, HISTORIC), "Agt": agent}
    transfer["VrfctnOfTerms"] = {"IlpV4PrepPacket": message.ilp_packet}
    return {"GrpHdr": _header(frame, message.expiration), "CdtTrfTxInf": transfer}


def _write_transfer(message: TransferPrepare, frame: Frame) -> Json:
    payer, payee = _parties_of(message.ilp_packet, message.payer_fsp, message.payee_fsp)
    transfer = {
        "PmtId": {"TxId": ulids.written(message.transfer_id)},
        "ChrgBr": SHARED,
        **_between(payer, payee),
        "CdtrAgt": _agent(message.payee_fsp),
        "DbtrAgt": _agent(message.payer_fsp),
        "IntrBkSttlmAmt": _money(message.amount, ACTIVE),
        "VrfctnOfTerms": {"IlpV4PrepPacket": message.ilp_packet},
    }
    return {"GrpHdr": _header(frame, message.expiration), "CdtTrfTxInf": transfer}


def _write_status(message: TransferFulfil, frame: Frame) -> Json:
    status: Json = {}
    if message.fulfilment is not None:
        status["ExctnConf"] = message.fulfilment
    if message.completed_timestamp is not None:
        status["PrcgDt"] = {"DtTm": message.completed_timestamp}
    return {
        "GrpHdr": _status_header(frame),
        "TxInfAndSts": {**status, "TxSts": STATES[message.transfer_state]},
    }


def _write_fx_quote(message: FxQuoteRequest, frame: Frame) -> Json:
    terms = message.conversion_terms
    ids = {
        "TxId": ulids.written(message.conversion_request_id),
        "InstrId": ulids.written(terms.conversion_id),
    }
    if terms.determining_transfer_id is not None:
        ids["EndToEndId"] = ulids.written(terms.determining_transfer_id)
    conversion = _conversion(ids, terms.initiating_fsp, terms.counter_party_fsp, terms.source_amount)
    conversion["IntrBkSttlmAmt"] = _money(terms.target_amount, ACTIVE)
    conversion["InstrForCdtrAgt"] = {"InstrInf": terms.amount_type}
    return {"GrpHdr": _header(frame, terms.expiration), "CdtTrfTxInf": conversion}


def _write_fx_transfer(message: FxTransferPrepare, frame: Frame) -> Json:
    ids = {"TxId": ulids.written(message.commit_request_id)}
    if message.determining_transfer_id is not None:
        ids["EndToEndId"] = ulids.written(message.determining_transfer_id)
    conversion = _conversion(ids, message.initiating_fsp, message.counter_party_fsp, message.source_amount)
    conversion["IntrBkSttlmAmt"] = _money(message.target_amount, ACTIVE)
    conversion["VrfctnOfTerms"] = {"Sh256Sgntr": message.condition}
    return {"GrpHdr": _header(frame, message.expiration), "CdtTrfTxInf": conversion}


def _assignment(frame: Frame) -> Json:
    return {
        "MsgId": frame.message_id,
        "CreDtTm": iso(frame.at_ms),
        "Assgnr": {"Agt": _agent(frame.source)},
        "Assgne": {"Agt": _agent(frame.destination)},
    }


def _status_header(frame: Frame) -> Json:
    return {"MsgId": frame.message_id, "CreDtTm": iso(frame.at_ms)}


def _header(frame: Frame, expiration: str | None) -> Json:
    header = {**_status_header(frame), "NbOfTxs": "1", "SttlmInf": {"SttlmMtd": "CLRG"}}
    return header | ({"PmtInstrXpryDtTm": expiration} if expiration else {})


def _between(payer: Party, payee: Party) -> Json:
    sides: Json = {}
    for side, party in (("Cdtr", payee), ("Dbtr", payer)):
        info = party.party_id_info
        sides[side] = _party(party)
        sides[f"{side}Agt"] = _agent(info.fsp_id, info.party_sub_id_or_type)
        if party.supported_currencies:
            sides[f"{side}Acct"] = {"Ccy": party.supported_currencies[0]}
    return sides


def _party(party: Party) -> Json:
    info = party.party_id_info
    group = "OrgId" if info.party_id_type in ORGANISATIONS else "PrvtId"
    identified = {"SchmeNm": {"Prtry": info.party_id_type}, "Id": info.party_identifier}
    name = party.personal_info.complex_name if party.personal_info else None
    names = [name.first_name, name.middle_name, name.last_name] if name else [None] * 3
    written: Json = {"Id": {group: {"Othr": identified}}}
    if any(names) or party.name:
        written["Nm"] = ";".join(part or "" for part in (*names, party.name))
    return written


def _agent(fsp_id: str | None, sub_id: str | None = None) -> Json:
    institution: Json = {"Othr": {"Id": fsp_id}} if fsp_id else {}
    return {"FinInstnId": institution | ({"ClrSysMmbId": {"MmbId": sub_id}} if sub_id else {})}


def _money(amount: FspMoney | FxMoney, name: str) -> Json:
    return {"Ccy": amount.currency, name: amount.amount or "0"}


def _conversion(ids: Json, payer_fsp: str, provider: str, source: FspMoney | FxMoney) -> Json:
    underlying = {
        "Dbtr": {"Id": {"OrgId": {"Othr": {"Id": payer_fsp}}}},
        "DbtrAgt": _agent(payer_fsp),
        "Cdtr": {"Id": {"OrgId": {"Othr": {"Id": provider}}}},
        "CdtrAgt": _agent(provider),
        "InstdAmt": _money(source, HISTORIC),
    }
    sides = {"Dbtr": _agent(payer_fsp), "Cdtr": _agent(provider)}
    return {"PmtId": ids, **sides, "UndrlygCstmrCdtTrf": underlying}


class _Sides(Message, frozen=True, kw_only=True):
    payer: Party
    payee: Party


def _parties_of(packet: str, payer_fsp: str, payee_fsp: str) -> tuple[Party, Party]:
    """Return payer and payee of a transaction; of one that says nothing of them, the institutions."""
    try:
        sides = msgspec.json.decode(ilp.parse_packet(packet).data, type=_Sides)
    except (ilp.PacketError, msgspec.DecodeError, UnicodeDecodeError):
        return _institution(payer_fsp), _institution(payee_fsp)
    return sides.payer, sides.payee


def _institution(fsp_id: str) -> Party:
    info = PartyIdInfo(party_id_type="BUSINESS", party_identifier=fsp_id, fsp_id=fsp_id)
    return Party(party_id_info=info)


_WRITERS: Final[Mapping[type[Message], Callable[[Any, Frame], Json]]] = {
    PartyResponse: _write_party,
    ErrorResponse: _write_error,
    QuoteRequest: _write_quote_request,
    QuoteResponse: _write_quote_response,
    TransferPrepare: _write_transfer,
    TransferFulfil: _write_status,
    FxQuoteRequest: _write_fx_quote,
    FxTransferPrepare: _write_fx_transfer,
}
