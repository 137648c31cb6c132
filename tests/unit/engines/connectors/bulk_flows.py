"""Bulks that the troubles are tried on, and what must be true of them at the end."""

from decimal import Decimal

from unit.engines.connectors.bulk_switchboard import BulkSwitchboard
from unit.engines.connectors.fake_bank import BankAccount
from unit.engines.connectors.flow_troubles import Balances, Flow, code_of, instances
from unit.engines.connectors.process_house import House

from payhub_engines.connectors.bulk import bulk_variables
from payhub_engines.connectors.pricing import service_fee
from payhub_engines.processes import PAYEE_BULK_QUOTE_TRANSFER, PAYER_BULK_PAYMENT
from payhub_engines.server.bulk_api import find_status
from payhub_platform.contracts.bulk_payments import BulkPaymentStatus, StartBulkItem, StartBulkPayment
from payhub_platform.contracts.channel import PartyIdInfo
from payhub_platform.contracts.use_cases import PEER_TO_PEER
from payhub_platform.money import Money

FIRST, SECOND, SHUT, NEIGHBOUR, NOBODY = (
    "254700100001",
    "254700100002",
    "254700100003",
    "254700200002",
    "254700900009",
)


def bulk_house(tenants, secrets, engine=None, payment="4e35e8a4-7d4d-5d3b-9a55-0f6f3f1a2b3c") -> House:
    """Return a house whose lion has two members more, one of them with a blocked account."""
    house = House(tenants, secrets, engine, payment, BulkSwitchboard)
    for number, account in ((SECOND, "A4"), (SHUT, "A5")):
        house.banks["lion"].accounts[account] = BankAccount(Decimal(0))
        house.banks["lion"].parties[f"MSISDN/{number}"] = account
        house.switch.numbers[f"MSISDN/{number}"] = "lion"
    house.banks["lion"].accounts["A5"].sub_status = "BLOCK"
    return house


def start_bulk(
    payment: str, *payments: tuple[str, int], fsp: str | None = None, **change: object
) -> StartBulkPayment:
    """Return a bulk of (number, minor units); ``fsp``: where all payees are said to bank."""
    given: dict[str, object] = {
        "payment_id": payment,
        "idempotency_key": "k-1",
        "fingerprint": "f",
        "client_id": "branch",
        "payer": PartyIdInfo(party_id_type="MSISDN", party_identifier="254700200001"),
        "payments": [
            StartBulkItem(
                payee=PartyIdInfo(party_id_type="MSISDN", party_identifier=number, fsp_id=fsp),
                amount=Money(minor, "KES"),
            )
            for number, minor in payments
        ],
    }
    return StartBulkPayment(**{**given, **change})


def pay_bulk(house: House, *payments: tuple[str, int], **change: object) -> None:
    """Start a bulk and run until everything waits."""
    start = start_bulk(house.payment, *payments, **change)
    variables = bulk_variables(start, house.tenants["buffalo"])
    house.begin(PAYER_BULK_PAYMENT, "buffalo", start.payment_id, variables)


def status_of(house: House, tenant: str = "buffalo") -> BulkPaymentStatus:
    """Return how the house's bulk stands."""
    status = find_status(house.engine.state, tenant, house.payment)
    assert status is not None
    return status


def told(house: House) -> list[str]:
    """Return what each payment came to: paid, pending, or its code."""
    words = {"COMPLETED": "paid", "PENDING": "pending"}
    return [
        words.get(one.state) or (one.error.code if one.error else "FAILED")
        for one in status_of(house).payments
    ]


def look(house: House, expected: Balances, wrong: list[str]) -> list[str]:
    """Compare what payer, payee and scheme say of each payment of the bulk."""
    status = status_of(house)
    theirs = instances(house, PAYEE_BULK_QUOTE_TRANSFER)
    said = {
        one["transactionId"]: one["state"] for bulk in theirs for one in bulk.variables.get("results") or []
    }
    settled = set().union(*(house.switch.committed(bulk) for bulk in house.switch.bulks))
    for payment in status.payments:
        is_paid, is_settled = payment.state == "COMPLETED", payment.transfer_id in settled
        is_credited = said.get(payment.transaction_id) == "COMPLETED"
        number = payment.payee.party_identifier
        if number == NEIGHBOUR:
            is_settled = is_credited = is_paid  # inside one bank there is no scheme, and no other side
        if payment.state == "PENDING" or not is_paid == is_settled == is_credited:
            wrong.append(f"payment {number}: {payment.state}, settled: {is_settled}, credited: {is_credited}")
        if is_paid:
            assert payment.terms is not None
            fsp = house.switch.numbers[f"MSISDN/{number}"]
            transferred = payment.terms.transfer_amount
            own = service_fee(
                house.tenants["buffalo"],
                "PAYER",
                Money.parse(transferred.amount, transferred.currency),
                PEER_TO_PEER,
            )
            expected["buffalo", "A1"] -= Decimal(transferred.amount) + Decimal(own.decimal_text())
            account = house.banks[fsp].parties[f"MSISDN/{number}"]
            expected[fsp, account] += Decimal(payment.terms.payee_receive_amount.amount)
    codes = [code_of(one) for one in theirs if one.variables.get("paymentState") == "FAILED"]
    return [" / ".join([", ".join(told(house)), *codes])]


def _with_fees(house: House) -> None:
    house.banks["buffalo"].fee, house.banks["buffalo"].payee_fee = "1.500000", "0.750000"


BULK_FLOWS = [
    Flow(
        "bulk",
        "A bulk of three payments, two of them to one payee, and the last to one whose account is blocked",
        lambda house: pay_bulk(house, (FIRST, 3000), (FIRST, 2050), (SHUT, 100)),
        look=look,
    ),
    Flow(
        "bulk-on-us",
        "A bulk of two payments inside one institution, with fees",
        lambda house: pay_bulk(house, (NEIGHBOUR, 3000), (NEIGHBOUR, 2050), fsp="buffalo"),
        prepare=_with_fees,
        look=look,
    ),
]
