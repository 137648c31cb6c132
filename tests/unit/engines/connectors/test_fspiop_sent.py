"""Every message that a DFSP sends, in every version, judged by the official specification."""

import json
from urllib.parse import unquote, urlsplit

import msgspec
import pytest
from support.fspiop_specification import faults, operations
from unit.engines.connectors.connector_kit import NOW_MS, PAYMENT, job

from payhub_engines.connectors.mojaloop import ilp
from payhub_engines.connectors.mojaloop.client import FspiopClient
from payhub_engines.connectors.mojaloop.ingress import FspiopRefusal, translate
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.mojaloop.outgoing import (
    ANSWERED,
    REQUESTED,
    answer,
    ask,
    ask_authorization,
    party_path,
    refuse,
    request,
    withdraw,
)
from payhub_engines.connectors.variables import ErrorValue
from payhub_platform import ids
from payhub_platform.clock import iso
from payhub_platform.contracts import fspiop, fspiop_bulk, fspiop_fx
from payhub_platform.contracts.tenant import SchemeConnection
from payhub_platform.security import jws

KES, UGX = fspiop.FspMoney(currency="KES", amount="100.5"), fspiop.FspMoney(currency="UGX", amount="2900")
ID, OTHER = ids.derive("one"), ids.derive("other")
SHOP = fspiop.PartyIdInfo(
    party_id_type="BUSINESS", party_identifier="shop 1", party_sub_id_or_type="till-1", fsp_id="lion"
)
MEMBER = fspiop.PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200001", fsp_id="buffalo")
SELLER = fspiop.Party(
    party_id_info=SHOP,
    name="Duka la Zoë",
    merchant_classification_code="5411",
    supported_currencies=["KES"],
)
OWN_SHOP = msgspec.structs.replace(SELLER, party_id_info=msgspec.structs.replace(SHOP, fsp_id="buffalo"))
BUYER = fspiop.Party(
    party_id_info=MEMBER,
    name="Ngũgĩ",
    personal_info=fspiop.PersonalInfo(
        complex_name=fspiop.ComplexName(first_name="Ngũgĩ", last_name="wa Thiong'o")
    ),
)
KIND = fspiop.TransactionType(
    scenario="REFUND",
    sub_scenario="LOCALLY_DEFINED",
    initiator="PAYER",
    initiator_type="BUSINESS",
    refund_info=fspiop.Refund(original_transaction_id=OTHER, refund_reason="broken"),
    balance_of_payments="123",
)
EXTENSIONS = fspiop.ExtensionList(extension=[fspiop.Extension(key="k", value="v")])
TIME, ERROR = iso(NOW_MS), ErrorValue(code="5104", description="x" * 300)
QUOTE = fspiop.QuoteRequest(
    quote_id=ID,
    transaction_id=PAYMENT,
    transaction_request_id=OTHER,
    payee=SELLER,
    payer=BUYER,
    amount_type="RECEIVE",
    amount=KES,
    fees=KES,
    transaction_type=KIND,
    converter="PAYER",
    currency_conversion=fspiop.FxRate(source_amount=KES, target_amount=UGX),
    geo_code=fspiop.GeoCode(latitude="-1.286389", longitude="36.817223"),
    note="rent",
    expiration=TIME,
    extension_list=EXTENSIONS,
)


def agreed(scheme):
    return ilp.agree(ilp.transaction_of(QUOTE, KES, TIME), "secret", scheme)


def messages(scheme):
    """Return every message by what it is, for a scheme whose packets have its form."""
    terms = agreed(scheme)
    conversion = fspiop_fx.FxConversion(
        conversion_id=OTHER,
        determining_transfer_id=PAYMENT,
        initiating_fsp="buffalo",
        counter_party_fsp="lion",
        amount_type="SEND",
        source_amount=fspiop_fx.FxMoney(currency="KES", amount="100.5"),
        target_amount=fspiop_fx.FxMoney(currency="UGX"),
        expiration=TIME,
    )
    single = fspiop_bulk.IndividualQuote(
        quote_id=ID,
        transaction_id=PAYMENT,
        payee=SELLER,
        amount_type="SEND",
        amount=KES,
        transaction_type=KIND,
        note="rent",
    )
    shop, member = party_path(SHOP), party_path(MEMBER)
    to = {"to": "lion"}
    sent = [
        ask("participants", *member),
        ask("participants", *shop),
        request(fspiop.ParticipantRegistration(fsp_id="buffalo", currency="KES"), *member),
        request(fspiop.ParticipantRegistration(fsp_id="buffalo", extension_list=EXTENSIONS), *shop),
        request(fspiop.ParticipantsRegistration(request_id=ID, party_list=[MEMBER, SHOP], currency="KES")),
        withdraw("participants", *member),
        withdraw("participants", *shop),
        answer(fspiop.ParticipantResponse(fsp_id="buffalo"), *member, **to),
        answer(fspiop.ParticipantResponse(fsp_id="buffalo"), *shop, **to),
        refuse("participants", *member, error=ERROR, **to),
        refuse("participants", *shop, error=ERROR, **to),
        ask("parties", *member),
        ask("parties", *shop),
        answer(fspiop.PartyResponse(party=BUYER), *member, **to),
        answer(fspiop.PartyResponse(party=OWN_SHOP), *shop, **to),
        refuse("parties", *member, error=ERROR, **to),
        refuse("parties", *shop, error=ERROR, **to),
        request(
            fspiop.TransactionRequest(
                transaction_request_id=ID,
                payee=SELLER,
                payer=MEMBER,
                amount=KES,
                transaction_type=KIND,
                authentication_type="OTP",
                expiration=TIME,
                extension_list=EXTENSIONS,
            ),
            **to,
        ),
        ask("transactionRequests", ID, **to),
        answer(
            fspiop.TransactionRequestResponse(transaction_id=PAYMENT, transaction_request_state="REJECTED"),
            ID,
            **to,
        ),
        refuse("transactionRequests", ID, error=ERROR, **to),
        request(QUOTE, **to),
        ask("quotes", ID, **to),
        answer(
            fspiop.QuoteResponse(
                transfer_amount=KES,
                payee_receive_amount=KES,
                payee_fsp_fee=KES,
                payee_fsp_commission=KES,
                expiration=TIME,
                ilp_packet=terms.packet,
                condition=terms.condition,
                extension_list=EXTENSIONS,
            ),
            ID,
            **to,
        ),
        refuse("quotes", ID, error=ERROR, **to),
        ask_authorization(
            ID,
            fspiop.AuthorizationQuestion(
                authentication_type="OTP", retries_left="2", amount="100.5", currency="KES"
            ),
            **to,
        ),
        answer(
            fspiop.AuthorizationResponse(
                response_type="ENTERED",
                authentication_info=fspiop.AuthenticationInfo(
                    authentication="OTP", authentication_value="123456"
                ),
            ),
            ID,
            **to,
        ),
        refuse("authorizations", ID, error=ERROR, **to),
        request(
            fspiop.TransferPrepare(
                transfer_id=ID,
                payer_fsp="buffalo",
                payee_fsp="lion",
                amount=KES,
                ilp_packet=terms.packet,
                condition=terms.condition,
                expiration=TIME,
            ),
            **to,
        ),
        ask("transfers", ID, to="switch"),
        answer(
            fspiop.TransferFulfil(
                transfer_state="RESERVED", fulfilment=terms.fulfilment, completed_timestamp=TIME
            ),
            ID,
            **to,
        ),
        refuse("transfers", ID, error=ERROR, **to),
        ask("transactions", ID, **to),
        answer(
            fspiop.TransactionResponse(transaction_state="COMPLETED", completed_timestamp=TIME, code="CASH1"),
            ID,
            **to,
        ),
        refuse("transactions", ID, error=ERROR, **to),
        request(
            fspiop_bulk.BulkQuoteRequest(
                bulk_quote_id=ID, payer=BUYER, individual_quotes=[single], expiration=TIME
            ),
            **to,
        ),
        ask("bulkQuotes", ID, **to),
        answer(
            fspiop_bulk.BulkQuoteResponse(
                expiration=TIME,
                individual_quote_results=[
                    fspiop_bulk.IndividualQuoteResult(
                        quote_id=ID,
                        transfer_amount=KES,
                        ilp_packet=terms.packet,
                        condition=terms.condition,
                    ),
                    fspiop_bulk.IndividualQuoteResult(
                        quote_id=OTHER,
                        error_information=fspiop.ErrorInformation(
                            error_code="3204", error_description="no party"
                        ),
                    ),
                ],
            ),
            ID,
            **to,
        ),
        refuse("bulkQuotes", ID, error=ERROR, **to),
        request(
            fspiop_bulk.BulkTransferPrepare(
                bulk_transfer_id=ID,
                bulk_quote_id=OTHER,
                payer_fsp="buffalo",
                payee_fsp="lion",
                individual_transfers=[
                    fspiop_bulk.IndividualTransfer(
                        transfer_id=ID,
                        transfer_amount=KES,
                        ilp_packet=terms.packet,
                        condition=terms.condition,
                    )
                ],
                expiration=TIME,
            ),
            **to,
        ),
        ask("bulkTransfers", ID, **to),
        answer(
            fspiop_bulk.BulkTransferResponse(
                bulk_transfer_state="COMPLETED",
                completed_timestamp=TIME,
                individual_transfer_results=[
                    fspiop_bulk.IndividualTransferResult(transfer_id=ID, fulfilment=terms.fulfilment)
                ],
            ),
            ID,
            **to,
        ),
        refuse("bulkTransfers", ID, error=ERROR, **to),
        ask("services", "FXP"),
        ask("services", "FXP", "KES", "UGX"),
        request(
            fspiop_fx.FxQuoteRequest(conversion_request_id=ID, conversion_terms=conversion), to="provider"
        ),
        ask("fxQuotes", ID, to="provider"),
        request(
            fspiop_fx.FxTransferPrepare(
                commit_request_id=OTHER,
                determining_transfer_id=PAYMENT,
                initiating_fsp="buffalo",
                counter_party_fsp="lion",
                source_amount=KES,
                target_amount=UGX,
                condition=terms.condition,
                expiration=TIME,
            ),
            to="provider",
        ),
        ask("fxTransfers", ID, to="provider"),
    ]
    return {f"{message.method} {'/'.join(message.path)}": message for message in sent}


def scheme_of(version):
    base = {"base_url": "http://switch.test/switch", "switch_fsp_id": "switch", "switch_public_key_pem": ""}
    if version == "2.0-iso20022":
        return SchemeConnection(**base, versions=("2.0",), iso20022=True)
    return SchemeConnection(**base, versions=(version,))


NAMES = sorted(messages(scheme_of("1.1")))
FX = ("services", "fxQuotes", "fxTransfers")
ISO = ("parties", "quotes", "transfers", "fxQuotes", "fxTransfers")


def is_in(version, name):
    resource = name.split()[1].split("/")[0]
    if version == "2.0-iso20022":
        return resource in ISO
    return version == "2.0" or resource not in FX


@pytest.fixture
def send(switch, context, buffalo):
    async def sent(version, name):
        """Send a message in the form of a scheme, and return it as the switch gets it."""
        scheme = scheme_of(version)
        tenant = msgspec.structs.replace(buffalo, scheme=scheme)
        own = type(context)(
            tenant=lambda _: tenant,
            http=context.http,
            secrets=context.secrets,
            clock=context.clock,
            tracing=context.tracing,
        )
        client = FspiopClient(lambda _session: switch, KeyRing())
        await client.deliver(job("any", {}), own, messages(scheme)[name])
        return switch.sent[-1]

    return sent


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0", "2.0-iso20022"])
@pytest.mark.parametrize("name", NAMES)
async def test_what_is_sent_is_as_the_specification_has_it(send, buffalo, version, name):
    if not is_in(version, name):
        return
    sent = await send(version, name)
    path = unquote(urlsplit(sent.path).path).removeprefix("/switch")
    assert faults(version, sent.method, path, sent.headers, sent.body) == []
    number = version.partition("-")[0]
    form = "iso20022." if version == "2.0-iso20022" else ""
    resource = name.split()[1].split("/")[0]
    media_type = f"application/vnd.interoperability.{form}{resource}+json;version={number}"
    assert sent.headers["Content-Type"] == media_type
    assert ("Accept" in sent.headers) == (sent.method in ("GET", "POST", "DELETE"))
    if sent.raw:
        received = {header.lower(): value for header, value in sent.headers.items()}
        public = jws.load_public_key(buffalo.signing_key.public_key_pem)
        jws.verify(sent.raw, received, sent.path, sent.method, public)
        assert json.dumps(sent.body, separators=(",", ":"), ensure_ascii=False).encode() == sent.raw
    else:
        assert "FSPIOP-Signature" not in sent.headers


def test_there_is_a_builder_for_everything_that_a_dfsp_sends():
    assert {type(m.body) for m in messages(scheme_of("1.1")).values()} >= set(REQUESTED) | set(ANSWERED)
    only_others = {  # sent by the hub, by whoever hosts the look-up service, or by a provider
        ("PATCH", "/transfers/{ID}"),
        ("PUT", "/participants/{ID}"),
        ("PUT", "/participants/{ID}/error"),
        ("PATCH", "/fxTransfers/{ID}"),
        ("PUT", "/fxTransfers/{ID}"),
        ("PUT", "/fxTransfers/{ID}/error"),
        ("PUT", "/fxQuotes/{ID}"),
        ("PUT", "/fxQuotes/{ID}/error"),
        ("PUT", "/services/FXP"),
        ("PUT", "/services/FXP/{SourceCurrency}/{TargetCurrency}"),
        ("POST", "/interface"),  # of 1.0's file alone, to hold its types
    }
    fixed = {"MSISDN": "{Type}", "BUSINESS": "{Type}", "254700200001": "{ID}", "shop 1": "{ID}"}
    fixed |= {"till-1": "{SubId}", ID: "{ID}", "KES": "{SourceCurrency}", "UGX": "{TargetCurrency}"}
    built = set()
    for message in messages(scheme_of("2.0")).values():
        built.add((message.method, "/" + "/".join(fixed.get(part, part) for part in message.path)))
    for version in ("1.0", "1.1", "2.0"):
        assert operations(version) - only_others <= built, version


async def test_an_iso_message_sent_again_has_the_same_id_and_another_has_not(send):
    first = await send("2.0-iso20022", f"PUT quotes/{ID}")
    again = await send("2.0-iso20022", f"PUT quotes/{ID}")
    other = await send("2.0-iso20022", "POST transfers")
    assert first.body["GrpHdr"]["MsgId"] == again.body["GrpHdr"]["MsgId"] != other.body["GrpHdr"]["MsgId"]


PROVIDERS = {"services", "fxQuotes", "fxTransfers"}


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0", "2.0-iso20022"])
@pytest.mark.parametrize("name", NAMES)
async def test_what_one_tenant_sends_another_understands(send, lion, version, name):
    if not is_in(version, name):
        return
    sent = await send(version, name)
    scheme = scheme_of(version)
    receiver = msgspec.structs.replace(lion, scheme=scheme)
    headers = {header.lower(): value for header, value in sent.headers.items()} | {
        "fspiop-destination": "lion"
    }
    parts = urlsplit(sent.path)
    path = unquote(parts.path).removeprefix("/switch")
    resource, is_registration = path.split("/")[1], sent.method in ("POST", "DELETE")
    received = (sent.method, path, headers, sent.raw, receiver, NOW_MS, sent.query)
    if resource in PROVIDERS or (resource == "participants" and is_registration):
        with pytest.raises(FspiopRefusal) as refusal:
            translate(*received)
        assert refusal.value.status == 501
        return
    callback = translate(*received).callback
    assert callback.tenant == "lion"
    told = json.dumps(callback.variables)
    body = messages(scheme)[name].body
    if isinstance(body, fspiop.ErrorResponse):
        assert callback.variables["error"]["code"] == ERROR.code
    elif body is not None:
        for value in ids_in(msgspec.to_builtins(body)):
            assert value in told or value in callback.correlation_key


def ids_in(value):
    """Return the ids in a message, which are the same on both sides in every version."""
    if isinstance(value, dict):
        return [found for item in value.values() for found in ids_in(item)]
    if isinstance(value, list):
        return [found for item in value for found in ids_in(item)]
    return [value] if value in (ID, PAYMENT) else []
