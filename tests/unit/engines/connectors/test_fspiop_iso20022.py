"""ISO 20022 contents against pairs that Mojaloop's own transformer made, and by themselves."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.shared_data import shared_file
from unit.engines.connectors.connector_kit import NOW_MS, PAYMENT
from unit.engines.connectors.test_fspiop_sent import QUOTE

from payhub_engines.connectors.mojaloop import ilp, messages, ulids
from payhub_engines.connectors.mojaloop.headers import format_date
from payhub_engines.connectors.mojaloop.ingress import FspiopRefusal, translate
from payhub_engines.connectors.mojaloop.iso20022.reading import read
from payhub_engines.connectors.mojaloop.iso20022.writing import Frame, write
from payhub_platform import ids
from payhub_platform.contracts import fspiop, fspiop_fx

KINDS = {
    ("parties", "put"): fspiop.PartyResponse,
    ("quotes", "post"): fspiop.QuoteRequest,
    ("quotes", "put"): fspiop.QuoteResponse,
    ("transfers", "post"): fspiop.TransferPrepare,
    ("transfers", "put"): fspiop.TransferFulfil,
    ("transfers", "patch"): fspiop.TransferFulfil,
    ("fxQuotes", "post"): fspiop_fx.FxQuoteRequest,
    ("fxTransfers", "post"): fspiop_fx.FxTransferPrepare,
    ("fxTransfers", "put"): fspiop_fx.FxTransferFulfil,
}
ONLY_WRITTEN = {("fxQuotes", "post"), ("fxTransfers", "post")}
ONLY_READ = {("fxTransfers", "put")}
MADE_EACH_TIME = {"MsgId", "CreDtTm", "OrgnlId"}


def vectors():
    return json.loads(shared_file("vectors", "fspiop_iso20022_vectors.json").read_text())


def kind_of(vector):
    key = (vector["resource"], vector["method"])
    return fspiop.ErrorResponse if vector["method"] == "putError" else KINDS[key]


def path_of(vector):
    params = vector.get("params") or {}
    return params["IdPath"].split("/") if "IdPath" in params else [params["ID"]] if "ID" in params else []


def leaves(value, path=()):
    if isinstance(value, dict):
        return {
            leaf: text for name, item in value.items() for leaf, text in leaves(item, (*path, name)).items()
        }
    return {} if path[-1] in MADE_EACH_TIME else {path: value}


def framed(vector, message):
    return Frame(
        source=vector["headers"]["fspiop-source"],
        destination=vector["headers"]["fspiop-destination"],
        resource=vector["resource"],
        path=path_of(vector),
        identity=msgspec.json.encode(message).decode(),
        at_ms=NOW_MS,
    )


def test_what_we_write_is_what_mojaloop_writes_and_what_the_specification_adds():
    written = 0
    for vector in vectors():
        if (vector["resource"], vector["method"]) in ONLY_READ:
            continue
        message = msgspec.convert(vector["fspiop"], kind_of(vector))
        ours, theirs = leaves(write(message, framed(vector, message))), leaves(vector["iso"])
        assert theirs.items() <= ours.items(), (vector["resource"], vector["method"])
        added = {path[1] for path in ours.keys() - theirs.keys()}
        # Mandatory in the specification, and not in a message of FSPIOP: taken from the ILP packet.
        assert added <= {"Dbtr", "DbtrAgt", "DbtrAcct", "Cdtr", "CdtrAgt", "CdtrAcct", "ChrgBr", "ChrgsInf"}
        written += 1
    assert written >= 10


def test_what_we_read_is_what_mojaloop_reads():
    read_back = 0
    for vector in vectors():
        if (vector["resource"], vector["method"]) in ONLY_WRITTEN:
            continue
        kind = kind_of(vector)
        ours = msgspec.to_builtins(messages.convert(read(kind, vector["iso"], path_of(vector)), kind))
        expected = vector["roundtrip"]
        if vector["resource"] == "parties" and kind is fspiop.ErrorResponse:
            # ISO 20022 carries no text here; each side has its own for a code.
            del ours["errorInformation"]["errorDescription"], expected["errorInformation"]["errorDescription"]
        assert ours == expected, (vector["resource"], vector["method"])
        read_back += 1
    assert read_back >= 9


@pytest.mark.parametrize(
    "message",
    [
        fspiop.PartyResponse(party=msgspec.structs.replace(QUOTE.payee, merchant_classification_code=None)),
        fspiop.PartyResponse(party=QUOTE.payer),
        fspiop.TransferFulfil(transfer_state="RESERVED", fulfilment="A" * 43),
        fspiop.TransferFulfil(transfer_state="COMMITTED", completed_timestamp="2026-11-20T23:24:28.000Z"),
        fspiop.TransferFulfil(transfer_state="ABORTED"),
    ],
)
def test_what_is_written_is_read_as_it_was(message):
    frame = Frame(source="a", destination="b", resource="r", path=["x"], identity="", at_ms=NOW_MS)
    assert messages.convert(read(type(message), write(message, frame), []), type(message)) == message


def test_a_party_that_is_not_verified_is_none():
    frame = Frame(source="a", destination="b", resource="parties", path=["x"], identity="", at_ms=NOW_MS)
    body = write(fspiop.PartyResponse(party=QUOTE.payer), frame)
    body["Rpt"]["Vrfctn"] = False
    with pytest.raises(FspiopRefusal) as refusal:
        read(fspiop.PartyResponse, body, [])
    assert refusal.value.where == "/Rpt/Vrfctn"


def test_an_organisation_is_read_as_mojaloops_transformer_writes_it():
    frame = Frame(source="a", destination="b", resource="quotes", path=[], identity="", at_ms=NOW_MS)
    body = write(QUOTE, frame)
    identified = body["CdtTrfTxInf"]["Cdtr"]["Id"]["OrgId"]["Othr"]
    body["CdtTrfTxInf"]["Cdtr"]["Id"]["PrvtId"] = {"Othr": {"Id": identified.pop("Id")}}
    found = messages.convert(read(fspiop.QuoteRequest, body, []), fspiop.QuoteRequest)
    assert found.payee.party_id_info == QUOTE.payee.party_id_info


def test_a_quote_request_loses_only_what_iso_20022_does_not_carry():
    frame = Frame(source="a", destination="b", resource="quotes", path=[], identity="", at_ms=NOW_MS)
    found = messages.convert(read(fspiop.QuoteRequest, write(QUOTE, frame), []), fspiop.QuoteRequest)
    kind = found.transaction_type
    assert (kind.scenario, kind.refund_info.original_transaction_id) == ("REFUND", ids.derive("other"))
    for name in ("quote_id", "transaction_id", "amount", "amount_type", "payee", "payer", "expiration"):
        expected = getattr(QUOTE, name)
        if name == "payee":
            expected = msgspec.structs.replace(expected, merchant_classification_code=None)
        assert getattr(found, name) == expected, name


@given(st.uuids(version=5))
def test_an_own_id_is_a_ulid_outside_and_itself_again_inside(identifier):
    written = ulids.written(str(identifier))
    assert messages.correlation_id(written, "") == written
    assert ulids.read(written) == str(identifier)


@given(st.from_regex(r"\A[0-7][0-9A-HJKMNP-TV-Z]{25}\Z"))
def test_a_peers_ulid_is_written_as_it_was_read(identifier):
    assert ulids.written(ulids.read(identifier)) == identifier


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
JSON = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=8), SCALARS, max_size=3)
NODES = (
    "GrpHdr",
    "CdtTrfTxInf",
    "TxInfAndSts",
    "Rpt",
    "PmtId",
    "VrfctnOfTerms",
    "IlpV4PrepPacket",
    "Cdtr",
    "Nm",
)


@given(st.dictionaries(st.sampled_from(NODES), st.dictionaries(st.sampled_from(NODES), JSON) | JSON))
def test_whatever_is_received_is_read_or_refused(value):
    for kind in {*KINDS.values(), fspiop.ErrorResponse}:
        with contextlib.suppress(FspiopRefusal):
            messages.convert(read(kind, value, ["MSISDN", "1"]), kind)


def iso_headers(resource):
    return {
        "content-type": f"application/vnd.interoperability.iso20022.{resource}+json;version=2.0",
        "date": format_date(NOW_MS),
        "fspiop-source": "lion",
        "fspiop-destination": "buffalo",
    }


def iso_tenant(tenant):
    scheme = msgspec.structs.replace(tenant.scheme, versions=("2.0",), iso20022=True)
    return msgspec.structs.replace(tenant, scheme=scheme)


def test_a_process_sees_fspiop_whatever_the_scheme_speaks(buffalo):
    tenant = iso_tenant(buffalo)
    terms = ilp.agree(ilp.transaction_of(QUOTE, QUOTE.amount, QUOTE.expiration), "s", tenant.scheme)
    prepare = fspiop.TransferPrepare(
        transfer_id=ids.derive("transfer"),
        payer_fsp="lion",
        payee_fsp="buffalo",
        amount=QUOTE.amount,
        ilp_packet=terms.packet,
        condition=terms.condition,
        expiration=QUOTE.expiration,
    )
    sent = []
    for at_ms in (NOW_MS, NOW_MS + 5_000):
        frame = Frame(
            source="lion", destination="buffalo", resource="transfers", path=[], identity="x", at_ms=at_ms
        )
        body = msgspec.json.encode(write(prepare, frame))
        sent.append(translate("POST", "/transfers", iso_headers("transfers"), body, tenant, NOW_MS).callback)
    first, again = sent
    assert first.correlation_key == f"lion/{PAYMENT}"
    assert messages.convert(first.variables["transfer"], fspiop.TransferPrepare) == prepare
    # The group header says when it was sent: the same transfer sent again is the same transfer.
    assert first.variables["transferFingerprint"] == again.variables["transferFingerprint"]


def test_an_id_in_a_path_is_correlated_as_the_one_that_was_sent(buffalo):
    quote_id = ids.derive("quote")
    body = json.dumps({"GrpHdr": {}, "TxInfAndSts": {"StsRsnInf": {"Rsn": {"Prtry": "5103"}}}}).encode()
    path = f"/quotes/{ulids.written(quote_id)}/error"
    callback = translate("PUT", path, iso_headers("quotes"), body, iso_tenant(buffalo), NOW_MS).callback
    assert (callback.correlation_key, callback.variables["error"]["code"]) == (quote_id, "5103")


def test_iso_contents_are_refused_where_the_scheme_does_not_use_them(buffalo):
    with pytest.raises(FspiopRefusal) as refusal:
        translate("GET", "/parties/MSISDN/1", iso_headers("parties"), b"", buffalo, NOW_MS)
    assert (refusal.value.status, refusal.value.error_code) == (400, "3101")
