"""Whatever a body holds, a bank refuses it in Fineract's words or takes it, and its books stay right."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.changed_body import changed

from payhub_sandbox.bank.refusal import BankRefusalError
from payhub_sandbox.bank.service import BankService, Call
from payhub_sandbox.seed import BANKS

KES = {"amount": "10.50", "currency": "KES"}
COMMAND = {
    "transactionCode": "tx",
    "accountId": "BUFFALO-000001",
    "amount": KES,
    "transactionRole": "PAYER",
    "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
    "expiration": "2026-09-21T10:00:00.000",
    "extensionList": [{"key": "k", "value": "v"}],
}
BODIES = {
    "transfer": COMMAND | {"transferCode": "t1", "fspFee": KES, "fspCommission": KES},
    "quote": COMMAND | {"quoteCode": "q1", "amountType": "SEND"},
    "request": COMMAND | {"requestCode": "r1"},
    "repay": {
        "transactionDate": "2026-09-21",
        "transactionAmount": "10.50",
        "dateFormat": "yyyy-MM-dd",
        "locale": "en",
        "receiptNumber": "r1",
    },
    "register": {"accountId": "BUFFALO-000001"},
}
AUTHORIZATION = "Basic " + base64.b64encode(b"payhub:buffalo-sandbox").decode()

anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=12),
        st.sampled_from(["", "1e400", "NaN", "-0", "0.005", "10,5", "9" * 40, "KWD", "XXX", "PAYEE", "١٢"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))


def run(service, kind, call):
    actions = {
        "transfer": lambda: service.transfer(call),
        "quote": lambda: service.quote(call),
        "request": lambda: service.request(call),
        "repay": lambda: service.repay(call, "BUFFALO-LOAN-1"),
        "register": lambda: service.register(call, ("IBAN", "x", None)),
    }
    return actions[kind]()


@pytest.mark.parametrize("kind", BODIES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_bodies_that_are_wrong_anywhere(kind, data):
    service = BankService(BANKS[1], lambda: 1_790_000_000_000, forced_cases=data.draw(st.booleans()))
    path = data.draw(st.sampled_from(list(places(BODIES[kind]))))
    body = changed(BODIES[kind], path, data.draw(anything), leave_out=bool(path) and data.draw(st.booleans()))
    action = data.draw(st.sampled_from(["PREPARE", "CREATE", "RELEASE", "prepare", "", "x"]))
    headers = {"authorization": AUTHORIZATION, "idempotency-key": data.draw(st.text(max_size=60))}
    for content in (body, BODIES[kind]):
        call = Call(path="/", headers=headers, query={"action": action}, body=json.dumps(content).encode())
        try:
            reply = run(service, kind, call)
        except BankRefusalError as refusal:
            reply = None
            statuses = {refusal.http_status}
        else:
            statuses = {reply.status}
        assert statuses <= {200, 400, 403, 404, 425, 500, 503}
    trial = service.bank.ledger.trial_balance()
    assert trial.debits == trial.credits
    for account in service.bank.accounts():
        held = sum(hold.amount for hold in account.holds.values() if not hold.released)
        assert account.held == held >= 0
        assert service.bank.desk.balance(account) >= 0
