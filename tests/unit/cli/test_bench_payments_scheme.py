"""The light switch and bank of `payhub bench payments` do what the real ones do, as far as they go."""

import json

import msgspec
import pytest

from payhub_cli.bench.payments.bank import Bank
from payhub_cli.bench.payments.switch import SWITCH_FSP, Keys, Switch
from payhub_engines.connectors.mojaloop import ilp, terms
from payhub_engines.connectors.variables import QuotedPayment
from payhub_platform.contracts.fspiop import PartyResponse, QuoteResponse, TransferFulfil
from payhub_platform.security import jws

NOW_MS = 1_800_000_000_000
QUOTE_ID = "7c23e80c-d078-4077-8263-2c047876fcf6"
TRANSACTION_ID = "85feac2f-39b2-491b-817e-4a03203d4f14"
TRANSFER_ID = "b51ec534-ee48-4575-b6a9-ead2955b8069"
MONEY = {"currency": "KES", "amount": "100"}
PARTY = {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700000002", "fspId": "buffalo"}}
QUOTE = {
    "quoteId": QUOTE_ID,
    "transactionId": TRANSACTION_ID,
    "payee": PARTY,
    "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254800000001", "fspId": "lion"}},
    "amountType": "SEND",
    "amount": MONEY,
    "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
}
PEMS = {fsp: jws.new_private_key_pem("RS256") for fsp in (SWITCH_FSP, "lion", "buffalo")}
PUBLIC = {fsp: jws.public_pem(pem) for fsp, pem in PEMS.items()}
ALL_KEYS = Keys(private_pems=PEMS, public_pems=PUBLIC)


def headers(resource, source="lion", destination="buffalo"):
    told = {
        "Content-Type": f"application/vnd.interoperability.{resource}+json;version=1.1",
        "Date": "Fri, 15 Jan 2027 08:00:00 GMT",
        "FSPIOP-Source": source,
    }
    return {**told, "FSPIOP-Destination": destination} if destination else told


def lower(sent):
    return {name.lower(): value for name, value in sent.items()}


def take(switch, method, path, sent, body=b""):
    return switch.take(method, path, lower(sent), body, NOW_MS)


def test_a_look_up_goes_to_the_institution_of_all_parties():
    switch = Switch("buffalo", Keys(), is_payee=False)
    asked = headers("parties", destination="") | {"traceparent": "00-1", "Host": "switch"}
    [sent] = take(switch, "GET", "/parties/MSISDN/254700000002", asked)
    assert (sent.to, sent.method, sent.path) == ("buffalo", "GET", "/parties/MSISDN/254700000002")
    assert (sent.headers["FSPIOP-Source"], sent.headers["traceparent"]) == ("lion", "00-1")
    assert "Host" not in sent.headers


def test_a_quote_is_passed_on_with_its_bytes_and_its_signature():
    switch = Switch("buffalo", Keys(public_pems=PUBLIC, private_pems=PEMS), is_payee=False)
    body = json.dumps(QUOTE).encode()
    plain = headers("quotes")
    signed = plain | jws.sign(body, plain, "/quotes", "POST", jws.load_private_key(PEMS["lion"]))
    [sent] = take(switch, "POST", "/quotes", signed, body)
    assert (sent.body, sent.headers["FSPIOP-Signature"]) == (body, signed["FSPIOP-Signature"])


@pytest.mark.parametrize("signer", ["", "buffalo"])
def test_a_body_that_its_source_has_not_signed_is_refused(signer):
    switch = Switch("buffalo", ALL_KEYS, is_payee=False)
    body, sent = json.dumps(QUOTE).encode(), headers("quotes")
    if signer:
        sent |= jws.sign(body, sent, "/quotes", "POST", jws.load_private_key(PEMS[signer]))
    with pytest.raises(jws.SignatureError):
        take(switch, "POST", "/quotes", sent, body)


def test_a_fulfilled_transfer_is_committed_for_both_in_the_switchs_own_name():
    switch = Switch("buffalo", Keys(private_pems=PEMS), is_payee=False)
    reserved = json.dumps({"transferState": "RESERVED", "fulfilment": "f" * 43}).encode()
    path = f"/transfers/{TRANSFER_ID}"
    to_payer, to_payee = take(switch, "PUT", path, headers("transfers", "buffalo", "lion"), reserved)
    assert [(each.to, each.method, each.path) for each in (to_payer, to_payee)] == [
        ("lion", "PUT", path),
        ("buffalo", "PATCH", path),
    ]
    told = msgspec.json.decode(to_payer.body, type=TransferFulfil)
    assert (told.transfer_state, told.fulfilment) == ("COMMITTED", "f" * 43)
    for each in (to_payer, to_payee):
        key = jws.load_public_key(PUBLIC[SWITCH_FSP])
        jws.verify(each.body, lower(each.headers), each.path, each.method, key)


def test_it_plays_a_payee_whose_terms_and_fulfilment_the_payer_accepts():
    switch = Switch("buffalo", Keys(private_pems=PEMS), is_payee=True)
    [party] = take(switch, "GET", "/parties/MSISDN/254700000002", headers("parties", destination=""))
    found = msgspec.json.decode(party.body, type=PartyResponse).party.party_id_info
    assert (party.to, found.fsp_id, found.party_identifier) == ("lion", "buffalo", "254700000002")

    [quoted] = take(switch, "POST", "/quotes", headers("quotes"), json.dumps(QUOTE).encode())
    assert (quoted.path, quoted.headers["FSPIOP-Source"]) == (f"/quotes/{QUOTE_ID}", "buffalo")
    key = jws.load_public_key(PUBLIC["buffalo"])
    jws.verify(quoted.body, lower(quoted.headers), quoted.path, "PUT", key)
    answer = msgspec.json.decode(quoted.body, type=QuoteResponse)
    payment = {
        "transactionId": TRANSACTION_ID,
        "quoteId": QUOTE_ID,
        "transferId": TRANSFER_ID,
        "payeeFsp": "buffalo",
        "payee": PARTY["partyIdInfo"],
        "payer": QUOTE["payer"]["partyIdInfo"],
        "amount": MONEY,
        "amountType": "SEND",
        "party": PARTY,
        "quoteResponse": msgspec.to_builtins(answer),
    }
    agreed, _ = terms.accepted_terms(msgspec.convert(payment, QuotedPayment), NOW_MS)
    assert msgspec.to_builtins(agreed.transfer_amount) == MONEY

    prepare = {
        "transferId": TRANSFER_ID,
        "payerFsp": "lion",
        "payeeFsp": "buffalo",
        "amount": MONEY,
        "ilpPacket": answer.ilp_packet,
        "condition": answer.condition,
        "expiration": answer.expiration,
    }
    [done] = take(switch, "POST", "/transfers", headers("transfers"), json.dumps(prepare).encode())
    fulfil = msgspec.json.decode(done.body, type=TransferFulfil)
    assert (done.path, done.headers["FSPIOP-Source"]) == (f"/transfers/{TRANSFER_ID}", SWITCH_FSP)
    assert fulfil.transfer_state == "COMMITTED"
    assert ilp.fulfils(fulfil.fulfilment, answer.condition)


def order(account="A1"):
    return json.dumps({"transactionId": "t1", "accountId": account, "amount": MONEY, "fee": MONEY}).encode()


def test_the_bank_books_a_reference_once_however_often_it_is_asked():
    bank = Bank()
    for _ in range(2):
        assert bank.answer("PUT", ["reservations", "r1"], order())[0] == 200
        assert bank.answer("POST", ["reservations", "r1", "commit"], b"{}")[1].state == "COMMITTED"
        assert bank.answer("PUT", ["credits", "r1"], order("A2"))[1].account_id == "A2"
    books = bank.books()
    assert [(each.reference, each.state) for each in books.debits] == [("r1", "COMMITTED")]
    assert [(each.transaction_id, each.account_id) for each in books.credits] == [("t1", "A2")]


def test_the_bank_does_not_take_what_was_released_and_knows_no_reference_by_itself():
    bank = Bank()
    bank.answer("PUT", ["reservations", "r1"], order())
    bank.answer("POST", ["reservations", "r1", "release"], b"{}")
    assert bank.answer("POST", ["reservations", "r1", "commit"], b"{}")[1].state == "RELEASED"
    for method, path in [
        ("GET", ["reservations", "r2"]),
        ("GET", ["credits", "r1"]),
        ("POST", ["reservations", "r2", "commit"]),
        ("GET", ["nothing"]),
    ]:
        assert bank.answer(method, path, b"") == (404, {"code": "unknown-reference"})
