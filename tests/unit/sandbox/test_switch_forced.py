"""Every row of the table of forced cases does what its behaviour says."""

import json

import pytest

from payhub_platform.clock import iso
from payhub_platform.money import Money
from payhub_sandbox.switch.forced import BEHAVIOURS, LATE_MS, TABLE, ForcedCases
from payhub_sandbox.switch.hub import Hub
from payhub_sandbox.switch.participants import Registration
from payhub_sandbox.switch.refusal import FspiopRefusalError
from payhub_sandbox.switch.signature import public_pem_of, read_private_key

KEY = "11111111-1111-4111-8111-111111111111"
OTHER = "44444444-4444-4444-8444-444444444444"
FULFILMENT_BODIES = {
    "transfers": {"transferState": "COMMITTED"},
    "bulkTransfers": {"bulkTransferState": "COMPLETED"},
    "fxTransfers": {"conversionState": "RESERVED"},
}


@pytest.fixture
def forced_hub(clock, key_pems):
    hub = Hub(key_pems["switch"], clock, forced_cases=True)
    for fsp in ("buffalo", "rhino"):
        for currency in ("KES", "TZS"):
            hub.context.participants.register(
                Registration(
                    fsp_id=fsp,
                    currency=currency,
                    callback_urls=[f"http://{fsp}"],
                    public_key_pem=public_pem_of(read_private_key(key_pems[fsp])),
                    net_debit_cap="1000000",
                )
            )
    return hub


def party(number):
    return {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": number}}


class Case:
    """The request that a row applies to, and the answer to it."""

    def __init__(self, row, buffalo, rhino):
        self.row, self._buffalo, self._rhino = row, buffalo, rhino
        self.amount = {"currency": "KES", "amount": f"1{row.amount or '000'}.5"}
        self.number = row.identifier + "7" if row.identifier else "254700300001"
        self.version = "2.0" if row.resource.startswith("fx") else "1.1"

    @property
    def path(self):
        if self.row.identifier:
            return f"/{self.row.resource}/MSISDN/{self.number}"
        return f"/{self.row.resource}/{KEY}"

    def ask(self):
        if self.row.identifier:
            return self._buffalo.message("GET", self.path)
        if self.row.resource == "authorizations":
            query = f"authenticationType=OTP&retriesLeft=1&amount={self.amount['amount']}&currency=KES"
            return self._buffalo.message("GET", self.path, to="rhino", query=query)
        resource = self.row.resource
        return self._buffalo.message(
            "POST", f"/{resource}", self._body(resource), to="rhino", version=self.version
        )

    def answer(self, **change):
        body = self._answer_body() | change
        return self._rhino.message("PUT", self.path, body, to="buffalo", version=self.version)

    def _body(self, resource):
        quote = {
            "quoteId": KEY,
            "transactionId": OTHER,
            "payee": party(self.number),
            "amountType": "SEND",
            "amount": self.amount,
            "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
        }
        prepare = json.loads(self._buffalo.prepare().body)
        sides = {name: prepare[name] for name in ("payerFsp", "payeeFsp", "expiration")}
        proof = {name: prepare[name] for name in ("ilpPacket", "condition")}
        payer = {"payer": party("254700200001")}
        conversion = {
            "initiatingFsp": "buffalo",
            "counterPartyFsp": "rhino",
            "amountType": "SEND",
            "sourceAmount": self.amount,
            "targetAmount": {"currency": "TZS", "amount": "1"},
            "expiration": prepare["expiration"],
        }
        one = {"transferId": OTHER, "transferAmount": self.amount, **proof}
        requested = {"transactionRequestId": KEY, "payer": party(self.number)["partyIdInfo"]}
        bodies = {
            "quotes": quote | payer,
            "bulkQuotes": {"bulkQuoteId": KEY, "individualQuotes": [quote], **payer},
            "transactionRequests": quote | requested,
            "transfers": prepare | {"amount": self.amount},
            "bulkTransfers": {"bulkTransferId": KEY, "bulkQuoteId": OTHER, "individualTransfers": [one]}
            | sides,
            "fxQuotes": {"conversionRequestId": KEY, "conversionTerms": conversion | {"conversionId": OTHER}},
            "fxTransfers": conversion | {"commitRequestId": KEY, "determiningTransferId": OTHER, **proof},
        }
        return bodies[resource]

    def _answer_body(self):
        resource = self.row.resource
        fulfilment = json.loads(self._rhino.fulfil().body)["fulfilment"]
        if resource == "bulkTransfers":
            results = [{"transferId": OTHER, "fulfilment": fulfilment}]
            return FULFILMENT_BODIES[resource] | {"individualTransferResults": results}
        if resource in FULFILMENT_BODIES:
            return FULFILMENT_BODIES[resource] | {"fulfilment": fulfilment}
        if resource == "quotes":
            return json.loads(self._rhino.quoted().body)
        if resource == "bulkQuotes":
            return {"expiration": iso(1_790_000_030_000)}
        if resource == "fxQuotes":
            return {"conversionTerms": self._body("fxQuotes")["conversionTerms"]}
        bodies = {
            "parties": {"party": party(self.number)},
            "transactionRequests": {"transactionRequestState": "ACCEPTED"},
            "authorizations": {"responseType": "ENTERED"},
        }
        return bodies[resource]


def run(hub, case):
    """Ask and be answered; return what the asker and the other DFSP are sent."""
    if case.row.identifier:
        hub.lookup.directory.register(f"MSISDN/{case.number}", "rhino")
    asked = hub.receive(case.ask())
    forwarded = any(message.destination == "rhino" for message in asked)
    answered = hub.receive(case.answer()) if forwarded else []
    return [*asked, *answered], forwarded


def code_of(message):
    return json.loads(message.body)["errorInformation"]["errorCode"]


@pytest.mark.parametrize(
    "row", TABLE, ids=[f"{row.resource}-{row.amount or row.identifier}-{row.behaviour}" for row in TABLE]
)
def test_each_row(forced_hub, buffalo, rhino, clock, row):
    case = Case(row, buffalo, rhino)
    if row.behaviour in ("refused", "busy"):
        with pytest.raises(FspiopRefusalError) as refused:
            forced_hub.receive(case.ask())
        told = (refused.value.http_status, refused.value.error_code)
        assert told == ((503, "2003") if row.behaviour == "busy" else (400, row.error_code))
        return
    if row.behaviour in ("aborted", "unnotified"):
        _check_notification(forced_hub, case, row)
        return
    messages, forwarded = run(forced_hub, case)
    to_asker = [message for message in messages if message.destination == "buffalo"]
    if row.behaviour == "error":
        [message] = to_asker
        assert (message.path, code_of(message), forwarded) == (case.path + "/error", row.error_code, False)
    elif row.behaviour in ("silence", "lost"):
        assert to_asker == []
        assert forwarded is (row.behaviour == "lost")
    elif row.behaviour == "repeated":
        assert [message.copies for message in messages] == [2, 1]
    else:
        [message] = to_asker
        wanted = (LATE_MS, 1) if row.behaviour == "late" else (0, 2)
        assert (message.delay_ms, message.copies) == wanted
    _check_money(forced_hub, clock, row)


def _check_notification(hub, case, row):
    hub.receive(case.ask())
    messages = hub.receive(case.answer(transferState="RESERVED"))
    told = [(one.destination, one.method, one.path.endswith("/error")) for one in messages]
    if row.behaviour == "aborted":
        assert told == [("buffalo", "PUT", True), ("rhino", "PATCH", False)]
        assert (code_of(messages[0]), json.loads(messages[1].body)["transferState"]) == ("5105", "ABORTED")
    else:
        assert told == [("buffalo", "PUT", False)]


def _check_money(hub, clock, row):
    """What was forced is kept in the books all the same: GET tells it, and a silent transfer expires."""
    position = hub.context.participants.position("buffalo", "KES")
    if row.resource not in ("transfers", "bulkTransfers"):
        return
    if row.behaviour in ("lost", "late", "twice"):
        assert (position.position > 0, position.reserved) == (True, 0)
    if row.behaviour == "silence":
        assert position.reserved > 0
        clock.now_ms += 31_000
        assert [code_of(one) for one in hub.expire() if one.destination == "buffalo"] == ["3303"]
    if row.behaviour in ("silence", "error"):
        assert (position.position, position.reserved) == (0, 0)


def test_nothing_is_forced_unless_it_is_switched_on(hub, buffalo):
    [message] = hub.receive(buffalo.prepare(amount="803"))
    assert message.destination == "rhino"


def test_the_whole_units_decide_in_any_currency():
    cases = ForcedCases(enabled=True)
    for amount in (Money(80_399, "KES"), Money(803, "UGX"), Money(1_234_803_000, "KWD")):
        found = cases.find("transfers", [amount], [])
        assert found is not None
        assert found.error_code == "4001"
    for amount in (Money(803, "KES"), Money(80_300_0, "KES"), Money(8_03_00, "KWD")):
        assert cases.find("transfers", [amount], []) is None
    assert cases.find("quotes", [Money(80_300, "KES")], []) is None


def test_the_table_has_one_row_for_each_trigger_and_explains_each_behaviour():
    triggers = [(row.resource, row.amount, row.identifier) for row in TABLE]
    assert len(set(triggers)) == len(triggers)
    assert {row.behaviour for row in TABLE} == set(BEHAVIOURS)
    assert all(bool(row.amount) != bool(row.identifier) for row in TABLE)
