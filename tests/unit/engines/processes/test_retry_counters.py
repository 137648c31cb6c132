"""The Payment Hub EE's own fund transfer with workers that count their tries, as its connectors do."""

import pytest
from support.shared_data import shared_file

from payhub_engines.testkit import Engine

FILE = "ph-ee-env-labs__orchestration_feel_PayerFundTransfer-DFSPID.bpmn"
TENANT = "DFSPID"
TIMEOUT_S = 60
TRIES = 3


class Hub:
    """The fund transfer with workers that do their work; ``sent`` counts what each has sent."""

    def __init__(self, xml):
        self.engine = Engine()
        self.sent = dict.fromkeys(("partyLookupRetryCount", "quoteRetryCount", "transferRetryCount"), 0)
        definition = self.engine.deploy(xml)
        for job in definition.job_types:
            self.engine.on_job(job, lambda _variables: {})
        self.engine.on_job(f"party-lookup-request-{TENANT}", self._sender("partyLookupRetryCount"))
        self.engine.on_job(f"quote-{TENANT}", self._sender("quoteRetryCount"))
        self.engine.on_job(f"send-transfer-request-{TENANT}", self._sender("transferRetryCount"))
        ids = {"transactionId": "transaction-1", "quoteId": "quote-1"}
        self.key = self.engine.start(definition.id, {**ids, "timer": "PT60S"})

    @property
    def view(self):
        return self.engine.instance(self.key)

    def _sender(self, counter):
        def send(variables):
            self.sent[counter] += 1
            return {counter: variables.get(counter, 0) + 1}

        return send

    def answer(self, name, **variables):
        key = "quote-1" if name.startswith("quote") else "transaction-1"
        self.engine.publish(name, key, variables)

    def agree(self):
        self.answer("party-lookup", partyLookupFailed=False)
        self.answer("quote-callback", quoteFailed=False)
        self.answer("accept-quote", payerConfirmed=True)


@pytest.fixture
def hub():
    return Hub(shared_file("bpmn", FILE).read_bytes())


def test_a_transfer_that_is_answered_completes_after_one_try_of_each(hub):
    hub.agree()
    hub.answer("transfer-response", transferFailed=False, transferState="COMMITTED")
    assert hub.view.state == "COMPLETED"
    assert hub.view.path[-1] == "EndEvent_1y60c95"
    assert set(hub.sent.values()) == {1}


def test_a_look_up_without_an_answer_is_tried_three_times_then_the_payment_is_aborted(hub):
    for tries in range(1, TRIES + 1):
        assert hub.sent["partyLookupRetryCount"] == tries
        assert hub.view.state == "ACTIVE"
        hub.engine.advance(TIMEOUT_S)
    assert hub.view.path.count("Task_PayeeLookup") == TRIES
    assert hub.view.path[-1] == "EndEvent_Failure_Aborted"
    assert hub.view.state == "COMPLETED"


def test_a_late_answer_to_a_second_try_goes_on(hub):
    hub.engine.advance(TIMEOUT_S)
    hub.agree()
    hub.engine.advance(TIMEOUT_S)
    hub.answer("transfer-response", transferFailed=False, transferState="COMMITTED")
    assert hub.view.path[-1] == "EndEvent_1y60c95"
    assert hub.sent == {"partyLookupRetryCount": 2, "quoteRetryCount": 1, "transferRetryCount": 2}


def test_a_transfer_of_unknown_outcome_waits_for_the_operator(hub):
    hub.agree()
    hub.engine.advance(TIMEOUT_S * TRIES)
    assert hub.sent["transferRetryCount"] == TRIES
    assert hub.view.state == "ACTIVE"
    hub.engine.advance(TIMEOUT_S * TRIES)
    assert hub.sent["transferRetryCount"] == TRIES
    hub.answer("operator-manual-recovery", operatorManualOverride=True)
    assert hub.view.path[-1] == "EndEvent_1f5l27f"
    assert hub.view.state == "COMPLETED"
    assert hub.view.incidents == []
