import pytest
from unit.engines.connectors.connector_kit import NOW_MS, TRACE, job

from payhub_engines.connectors.job import BpmnError, JobFailedError
from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_engines.connectors.mojaloop import ilp
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_platform.clock import iso
from payhub_platform.contracts.fspiop import FspMoney, Party, PartyIdInfo, TransactionType
from payhub_platform.security import jws
from payhub_platform.security.secrets import SealError, SecretBox


@pytest.fixture
def quoted(started):
    def party(kind, identifier, fsp):
        info = PartyIdInfo(party_id_type=kind, party_identifier=identifier, fsp_id=fsp)
        return Party(party_id_info=info)

    transaction = ilp.Transaction(
        quote_id=started["quoteId"],
        transaction_id=started["transactionId"],
        transaction_type=TransactionType(scenario="TRANSFER", initiator="PAYER", initiator_type="CONSUMER"),
        payee=party("MSISDN", "254700100001", "lion"),
        payer=party("MSISDN", "254700200001", "buffalo"),
        expiration=iso(NOW_MS + 30_000),
        amount=FspMoney(**started["amount"]),
    )
    packet = ilp.build_packet(transaction)
    fulfilment = ilp.fulfilment_of(packet, "payee's secret")
    response = {
        "transferAmount": started["amount"],
        "expiration": iso(NOW_MS + 30_000),
        "ilpPacket": packet,
        "condition": ilp.condition_of(fulfilment),
    }
    found = {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700100001", "fspId": "lion"}}
    return {**started, "party": found, "payeeFsp": "lion", "quoteResponse": response}


async def test_messages_carry_fspiops_headers_and_are_signed(mojaloop, switch, context, started, buffalo):
    found = {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700100001"}}
    variables = {**started, "party": found, "payeeFsp": "lion"}
    assert await mojaloop.payer.request_quote(job("mojaloop-request-quote", variables), context) == {}
    (sent,) = switch.sent
    assert (sent.method, sent.path) == ("POST", "/switch/quotes")
    assert sent.headers["Content-Type"] == "application/vnd.interoperability.quotes+json;version=1.1"
    assert sent.headers["Accept"] == sent.headers["Content-Type"]
    assert sent.headers["Date"] == fspiop_headers.format_date(NOW_MS) == "Thu, 09 Oct 2025 08:53:20 GMT"
    assert (sent.headers["FSPIOP-Source"], sent.headers["FSPIOP-Destination"]) == ("buffalo", "lion")
    assert sent.headers["traceparent"].split("-")[1] == TRACE.split("-")[1]
    assert b" " not in sent.raw.replace(b"rent", b"")
    public = jws.load_public_key(buffalo.signing_key.public_key_pem)
    received = {name.lower(): value for name, value in sent.headers.items()}
    jws.verify(sent.raw, received, sent.path, "POST", public)


async def test_a_look_up_has_no_body_signature_or_destination(mojaloop, switch, context, started):
    variables = {**started, "payee": {"partyIdType": "EMAIL", "partyIdentifier": "a b+c@d.ke"}}
    await mojaloop.payer.request_party(job("mojaloop-request-party", variables), context)
    (sent,) = switch.sent
    assert sent.path == "/switch/parties/EMAIL/a%20b+c@d.ke"
    assert sent.raw == b""
    assert not {"FSPIOP-Signature", "FSPIOP-Destination"} & set(sent.headers)


@pytest.mark.parametrize("status", [401, 429, 500, 503, 302])
async def test_what_is_no_refusal_is_tried_again(mojaloop, switch, context, started, status):
    switch.status = status
    with pytest.raises(JobFailedError):
        await mojaloop.payer.request_party(job("mojaloop-request-party", started), context)


async def test_a_sound_quote_is_accepted_until_it_expires(mojaloop, context, clock, quoted):
    result = await mojaloop.payer.check_quote(job("mojaloop-check-quote", quoted), context)
    assert result["transferExpiration"] == iso(NOW_MS + 30_000)
    assert result["quoteTerms"] == {
        "transferAmount": {"amount": "100.5", "currency": "KES"},
        "payeeReceiveAmount": {"amount": "100.5", "currency": "KES"},
        "expiration": quoted["quoteResponse"]["expiration"],
    }
    clock.now_ms += 29_900
    with pytest.raises(BpmnError, match="quote-refused") as caught:
        await mojaloop.payer.check_quote(job("mojaloop-check-quote", quoted), context)
    assert caught.value.variables["error"]["code"] == "3302"


async def test_a_payments_own_expiration_bounds_its_transfer(mojaloop, context, quoted):
    bounded = {**quoted, "expiresAtMs": NOW_MS + 9_000}
    result = await mojaloop.payer.check_quote(job("mojaloop-check-quote", bounded), context)
    assert result["transferExpiration"] == iso(NOW_MS + 9_000)
    with pytest.raises(BpmnError) as caught:
        await mojaloop.payer.check_quote(
            job("mojaloop-check-quote", {**quoted, "expiresAtMs": NOW_MS}), context
        )
    assert caught.value.variables["error"]["code"] == "3303"


@pytest.mark.parametrize(
    "change",
    [
        {"transferAmount": {"amount": "100.6", "currency": "KES"}},
        {"transferAmount": {"amount": "100.5", "currency": "UGX"}},
        {"ilpPacket": "AAAA"},
        {"ilpPacket": None},
    ],
)
async def test_a_quote_of_other_terms_is_refused(mojaloop, context, quoted, change):
    response = {**quoted["quoteResponse"], **change}
    if response["ilpPacket"] is None:
        response["ilpPacket"] = quoted["quoteResponse"]["ilpPacket"]
        quoted = {**quoted, "transactionId": "22222222-2222-4222-8222-222222222222"}
    if response["transferAmount"]["currency"] == "UGX":
        response["transferAmount"]["amount"] = "100"
    with pytest.raises(BpmnError, match="quote-refused") as caught:
        await mojaloop.payer.check_quote(
            job("mojaloop-check-quote", {**quoted, "quoteResponse": response}), context
        )
    assert caught.value.variables["error"]["code"] == "4100"


@pytest.mark.parametrize("fulfilment", [None, "A" * 43])
async def test_a_commit_without_the_fulfilment_is_not_believed(mojaloop, context, quoted, fulfilment):
    result = {"state": "COMMITTED", "fulfilment": fulfilment}
    with pytest.raises(BpmnError, match="fulfilment-mismatch"):
        await mojaloop.payer.check_fulfilment(
            job("mojaloop-check-fulfilment", {**quoted, "transferResult": result}), context
        )


async def test_asking_for_a_transfer_in_vain_is_no_failure(mojaloop, switch, context, quoted):
    asking = job("mojaloop-query-transfer", quoted)
    assert await mojaloop.payer.query_transfer(asking, context) == {}
    assert switch.sent[0].headers["FSPIOP-Destination"] == "switch"
    switch.down = True
    assert await mojaloop.payer.query_transfer(asking, context) == {}
    switch.down, switch.status = False, 400
    assert await mojaloop.payer.query_transfer(asking, context) == {}


async def test_our_own_answer_refused_is_for_an_operator(mojaloop, switch, context):
    switch.status, switch.error_code = 400, "3101"
    question = {"partyId": {"partyIdType": "MSISDN", "partyIdentifier": "1"}, "requesterFsp": "buffalo"}
    with pytest.raises(JobFailedError, match="3101"):
        await mojaloop.payee.answer_party(job("mojaloop-answer-party", question, "lion"), context)


def test_a_key_is_opened_once_and_again_when_it_is_replaced(buffalo, lion, secrets):
    ring = KeyRing()
    assert ring.of(buffalo, secrets) is ring.of(buffalo, secrets)
    assert ring.of(buffalo, secrets).ilp_secret != ring.of(lion, secrets).ilp_secret
    with pytest.raises(SealError):
        KeyRing().of(buffalo, SecretBox(SecretBox.new_key()))
