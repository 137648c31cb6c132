"""Loans, accounts and registrations: each process with each outcome of each job, in the test kit."""

import msgspec
import pytest
from unit.engines.connectors.connector_kit import NOW_MS, PAYMENT

from payhub_engines.connectors.member import (
    account_status,
    account_variables,
    party_status,
    party_variables,
    registration_status,
    registration_variables,
)
from payhub_engines.connectors.payment import start_variables
from payhub_engines.processes import (
    ACCOUNT_LOOKUP,
    PARTY_LOOKUP,
    PARTY_REGISTRATION,
    PAYER_FUND_TRANSFER,
    load,
)
from payhub_engines.testkit import BpmnError, Engine, JobFailed
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.contracts.engine import StartAccountLookup, StartPartyLookup, StartRegistration

FILES = dict(load())
MEMBER = PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200001")
PARTY_KEY = "MSISDN/254700200001"
NO = {"error": {"code": "4100", "description": "no"}}
ACCOUNT = {
    "accountId": "A1",
    "currency": "KES",
    "status": "ACTIVE",
    "mayPay": True,
    "mayReceive": True,
    "balance": "1000.00",
    "available": "900.00",
}


class Jobs:
    """Does jobs as told, a job type's outcomes one after the other, and remembers them."""

    def __init__(self, engine, **outcomes):
        self.done = []
        self.seen = []
        self.outcomes = outcomes
        self.engine = engine

    def serve(self, *types):
        for job_type in types:
            self.engine.on_job(job_type, lambda variables, kind=job_type: self._do(kind, variables))

    def _do(self, kind, variables):
        self.done.append(kind)
        self.seen.append(variables)
        waiting = self.outcomes.get(kind.replace("-", "_"), [])
        outcome = waiting.pop(0) if waiting else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def refused(code):
    return BpmnError(code, "no", NO)


def loan(request_to_pay, buffalo, **outcomes):
    engine = Engine()
    engine.deploy(FILES[PAYER_FUND_TRANSFER])
    jobs = Jobs(engine, ams_quote_payer=[{"payerAccount": "A1", "payerFee": "0"}], **outcomes)
    jobs.serve("ams-quote-payer", "ams-reserve", "ams-repay-loan", "ams-commit", "ams-release")
    payee = PartyIdInfo(party_id_type="ACCOUNT_ID", party_identifier="000000042")
    start = msgspec.structs.replace(request_to_pay, payee=payee, use_case="loan-repayment")
    key = engine.start(PAYER_FUND_TRANSFER, start_variables(start, buffalo, NOW_MS), payment=PAYMENT)
    engine.advance(60)
    return engine.instance(key), jobs


def test_a_loan_is_repaid_between_the_reservation_and_the_commit(request_to_pay, buffalo):
    instance, jobs = loan(request_to_pay, buffalo)
    assert jobs.done == ["ams-quote-payer", "ams-reserve", "ams-repay-loan", "ams-commit"]
    assert instance.variables["paymentState"] == "COMPLETED"
    [repaid] = [seen for kind, seen in zip(jobs.done, jobs.seen, strict=True) if kind == "ams-repay-loan"]
    assert repaid["loanAccount"] == "000000042"
    assert repaid["amount"] == {"amount": "100.5", "currency": "KES"}
    assert repaid["transferId"] == instance.variables["transferId"]


@pytest.mark.parametrize("failures", [1, 4])
def test_a_bank_that_cannot_say_whether_a_loan_was_repaid_is_asked_until_it_can(
    request_to_pay, buffalo, failures
):
    outcomes = [JobFailed("down", retry_after_ms=500) for _ in range(failures)]
    instance, jobs = loan(request_to_pay, buffalo, ams_repay_loan=outcomes)
    assert jobs.done.count("ams-repay-loan") == failures + 1
    assert jobs.done[-1] == "ams-commit"
    assert "ams-release" not in jobs.done
    assert instance.variables["paymentState"] == "COMPLETED"


def test_a_loan_that_is_not_repaid_releases_what_was_reserved(request_to_pay, buffalo):
    instance, jobs = loan(request_to_pay, buffalo, ams_repay_loan=[refused("loan-refused")])
    assert jobs.done[-2:] == ["ams-repay-loan", "ams-release"]
    assert "ams-commit" not in jobs.done
    assert (instance.state, instance.variables["paymentState"]) == ("COMPLETED", "FAILED")
    assert instance.variables["error"]["code"] == "4100"


def test_without_funds_no_loan_is_repaid(request_to_pay, buffalo):
    instance, jobs = loan(request_to_pay, buffalo, ams_reserve=[refused("payer-refused")])
    assert jobs.done == ["ams-quote-payer", "ams-reserve"]
    assert instance.variables["paymentState"] == "FAILED"


def looked_up(outcome):
    engine = Engine()
    engine.deploy(FILES[ACCOUNT_LOOKUP])
    jobs = Jobs(engine, ams_look_up_account=[outcome])
    jobs.serve("ams-look-up-account")
    start = StartAccountLookup(payment_id=PAYMENT, fingerprint="f", client_id="app", party=MEMBER)
    key = engine.start(ACCOUNT_LOOKUP, account_variables(start), payment=PAYMENT)
    return account_status(engine.instance(key).variables)


def test_a_member_is_told_status_and_balance():
    identifiers = [{"type": "MSISDN", "value": "254700200001"}]
    told = looked_up({"account": ACCOUNT, "accountIdentifiers": identifiers})
    assert (told.state, told.error) == ("COMPLETED", None)
    assert (told.account.status, told.account.balance, told.account.available) == (
        "ACTIVE",
        "1000.00",
        "900.00",
    )
    assert told.identifiers[0].value == "254700200001"


def test_an_unknown_account_is_told_with_its_code():
    told = looked_up(refused("account-refused"))
    assert (told.state, told.account, told.error.code) == ("FAILED", None, "4100")


def sought(outcome=None):
    engine = Engine()
    engine.deploy(FILES[PARTY_LOOKUP])
    Jobs(engine, mojaloop_request_party=[outcome]).serve("mojaloop-request-party")
    start = StartPartyLookup(payment_id=PAYMENT, fingerprint="f", client_id="app", party=MEMBER)
    key = engine.start(PARTY_LOOKUP, party_variables(start), payment=PAYMENT)
    return engine, lambda: party_status(engine.instance(key).variables)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"name": "Mama Mboga"}, "Mama Mboga"),
        ({"personalInfo": {"complexName": {"firstName": "Achieng", "lastName": "Otieno"}}}, "Achieng Otieno"),
        ({"personalInfo": {}}, None),
        ({}, None),
    ],
)
def test_a_party_is_told_with_its_name_and_institution(said, name):
    engine, status = sought()
    assert (status().state, status().party) == ("PENDING", MEMBER)
    info = {"partyIdType": "MSISDN", "partyIdentifier": "254700200001", "fspId": "lion"}
    party = {"partyIdInfo": info, **said}
    engine.publish("party-response", PARTY_KEY, {"party": party, "payeeFsp": "lion", "error": None})
    told = status()
    assert (told.state, told.name, told.party.fsp_id, told.error) == ("COMPLETED", name, "lion", None)


def test_a_party_that_is_not_found_is_told_with_the_code():
    engine, status = sought()
    error = {"code": "3204", "description": "no"}
    engine.publish("party-response", PARTY_KEY, {"party": None, "payeeFsp": None, "error": error})
    assert (status().state, status().error.code, status().name) == ("FAILED", "3204", None)
    engine, status = sought(refused("scheme-refused"))
    assert (status().state, status().error.code) == ("FAILED", "4100")
    engine, status = sought()
    engine.advance(11)
    assert (status().state, status().error.code) == ("FAILED", "2004")


def registering(buffalo, *, withdraw=False, **outcomes):
    engine = Engine()
    engine.deploy(FILES[PARTY_REGISTRATION])
    jobs = Jobs(engine, **outcomes)
    jobs.serve("ams-look-up-party", "mojaloop-register-party", "mojaloop-withdraw-party")
    start = StartRegistration(
        payment_id=PAYMENT, fingerprint="f", client_id="app", party=MEMBER, withdraw=withdraw
    )
    variables = registration_variables(start, buffalo)
    key = engine.start(PARTY_REGISTRATION, variables, payment=PAYMENT)
    return engine, key, jobs


def answered(engine, error=None, by="switch"):
    engine.publish("participant-response", PARTY_KEY, {"error": error, "answeredBy": by})


def told(engine, key):
    status = registration_status(engine.instance(key).variables)
    return status.state, status.error.code if status.error else None


@pytest.mark.parametrize(
    ("withdraw", "jobs"),
    [
        (False, ["ams-look-up-party", "mojaloop-register-party"]),
        (True, ["mojaloop-withdraw-party"]),
    ],
)
def test_an_identifier_is_registered_or_withdrawn_when_the_scheme_says_so(buffalo, withdraw, jobs):
    engine, key, done = registering(buffalo, withdraw=withdraw)
    assert told(engine, key) == ("PENDING", None)
    answered(engine)
    assert told(engine, key) == ("COMPLETED", None)
    assert done.done == jobs


def test_only_a_members_identifier_is_registered(buffalo):
    engine, key, done = registering(buffalo, ams_look_up_party=[refused("party-refused")])
    assert told(engine, key) == ("FAILED", "4100")
    assert done.done == ["ams-look-up-party"]


def test_a_scheme_that_refuses_ends_the_registration(buffalo):
    engine, key, _ = registering(buffalo, mojaloop_register_party=[refused("scheme-refused")])
    assert told(engine, key) == ("FAILED", "4100")
    engine, key, _ = registering(buffalo)
    answered(engine, {"code": "3003", "description": "no"})
    assert told(engine, key) == ("FAILED", "3003")


def test_a_scheme_that_refuses_ends_the_withdrawal(buffalo):
    engine, key, _ = registering(buffalo, withdraw=True, mojaloop_withdraw_party=[refused("scheme-refused")])
    assert told(engine, key) == ("FAILED", "4100")


def test_a_scheme_that_is_silent_is_asked_three_times(buffalo):
    engine, key, done = registering(buffalo)
    engine.advance(25)
    assert told(engine, key) == ("PENDING", None)
    assert done.done.count("mojaloop-register-party") == 3
    engine.advance(10)
    assert told(engine, key) == ("FAILED", "2004")


def test_an_answer_to_the_second_question_registers(buffalo):
    engine, key, _ = registering(buffalo)
    engine.advance(12)
    answered(engine)
    assert told(engine, key) == ("COMPLETED", None)


def test_what_another_institution_says_registers_nothing(buffalo):
    engine, key, _ = registering(buffalo)
    answered(engine, by="rhino")
    answered(engine, {"code": "3003", "description": "no"}, by="rhino")
    assert told(engine, key) == ("PENDING", None)
    answered(engine)
    assert told(engine, key) == ("COMPLETED", None)
