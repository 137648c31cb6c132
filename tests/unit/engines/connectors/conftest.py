from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from unit.engines.connectors.connector_kit import NOW_MS, PAYMENT, Clock, make_tenant
from unit.engines.connectors.fake_bank import BankAccount, FakeBank
from unit.engines.connectors.fake_switch import FakeSwitch

from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.jobs import AmsJobs
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.mojaloop.client import FspiopClient
from payhub_engines.connectors.mojaloop.jobs import MojaloopJobs
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.payment import start_variables
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.contracts.engine import StartPayment
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.http_client import HttpClient
from payhub_platform.money import Money
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox
from payhub_platform.telemetry.tracing import Tracing

SHARED_DATA = Path(__file__).parents[5] / "shared" / "data"


@pytest.fixture(scope="session")
def secrets() -> SecretBox:
    return SecretBox(SecretBox.new_key())


@pytest.fixture(scope="session")
def tenants(secrets: SecretBox) -> dict[str, TenantConfig]:
    return {fsp: make_tenant(secrets, fsp, jws.new_private_key_pem()) for fsp in ("buffalo", "lion")}


@pytest.fixture
def buffalo(tenants: dict[str, TenantConfig]) -> TenantConfig:
    return tenants["buffalo"]


@pytest.fixture
def lion(tenants: dict[str, TenantConfig]) -> TenantConfig:
    return tenants["lion"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def context(tenants: dict[str, TenantConfig], secrets: SecretBox, clock: Clock) -> ConnectorContext:
    session = cast("HttpClient", None)  # the fakes below do not use it
    return ConnectorContext(
        tenant=tenants.__getitem__, http=session, secrets=secrets, clock=clock, tracing=Tracing("test")
    )


@pytest.fixture
def switch() -> FakeSwitch:
    return FakeSwitch()


@pytest.fixture
def bank() -> FakeBank:
    """The bank of payers and payees: one member with 1,000.00, one with nothing."""
    bank = FakeBank()
    bank.accounts = {"A1": BankAccount(Decimal(1000)), "A2": BankAccount(Decimal(0))}
    bank.parties = {"MSISDN/254700200001": "A1", "MSISDN/254700100001": "A2"}
    return bank


@pytest.fixture
def mojaloop(switch: FakeSwitch) -> MojaloopJobs:
    keys = KeyRing()
    return MojaloopJobs(FspiopClient(lambda _session: switch, keys), keys)


@pytest.fixture
def ams(bank: FakeBank) -> AmsJobs:
    return AmsJobs(CoreBanks(lambda _session: bank))


@pytest.fixture
def request_to_pay() -> StartPayment:
    return StartPayment(
        payment_id=PAYMENT,
        idempotency_key="k-1",
        fingerprint="f",
        client_id="branch",
        payer=PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200001"),
        payee=PartyIdInfo(party_id_type="MSISDN", party_identifier="254700100001"),
        amount=Money(10050, "KES"),
        client_ref_id="ref-1",
        note="rent",
    )


@pytest.fixture
def started(request_to_pay: StartPayment, buffalo: TenantConfig) -> dict[str, Any]:
    return start_variables(request_to_pay, buffalo, NOW_MS)


@pytest.fixture
def prepared(started: dict[str, Any]) -> dict[str, Any]:
    """Variables of a payee's process whose transfer the scheme has committed."""
    return {
        "transactionId": started["transactionId"],
        "transferId": started["transferId"],
        "quote": {
            "quoteId": started["quoteId"],
            "transactionId": started["transactionId"],
            "payee": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700100001"}},
            "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700200001"}},
            "amountType": "SEND",
            "amount": {"amount": "100.5", "currency": "KES"},
            "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
        },
        "requesterFsp": "buffalo",
        "quoteTerms": {
            "transferAmount": {"amount": "100.5", "currency": "KES"},
            "payeeReceiveAmount": {"amount": "100.5", "currency": "KES"},
            "expiration": "2025-10-09T08:53:50.000Z",
        },
        "payeeAccount": "A2",
        "ownQuote": {
            "transferAmount": {"amount": "100.5", "currency": "KES"},
            "expiration": "2025-10-09T08:53:50.000Z",
            "ilpPacket": "A" * 20,
            "condition": "x" * 43,
        },
        "transfer": {
            "transferId": started["transferId"],
            "payerFsp": "buffalo",
            "payeeFsp": "lion",
            "amount": {"amount": "100.5", "currency": "KES"},
            "ilpPacket": "A" * 20,
            "condition": "x" * 43,
            "expiration": "2025-10-09T08:53:50.000Z",
        },
    }


@pytest.fixture
def funded(started: dict[str, Any]) -> dict[str, Any]:
    """Variables of a payer's process whose fee is fixed."""
    return {**started, "payerAccount": "A1", "payerFee": "1.50"}


@pytest.fixture
def shared_data() -> Path:
    """Golden files that live beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the golden files are not present in this checkout")
    return SHARED_DATA
