"""What a demonstration found decides its exit status: each thing that is wrong is seen."""

import io
import os
from typing import Any

import msgspec
import pytest
from rich.console import Console

from payhub_cli.demo import report, story
from payhub_cli.demo.books import Books, books
from payhub_cli.demo.errors import DemoError
from payhub_cli.demo.progress import Steps, console
from payhub_cli.demo.result import AuditFigures, AuditState, Document, Findings, TenantRecords
from payhub_platform.contracts.channel import ChannelMoney, PartyIdInfo, TransferError, TransferStatus

FSPS = tuple(story.PLACEMENTS)
OPENING = 1_000_000


def _books(moved: dict[str, int], *, held: int = 0, lost: int = 0, reserved: int = 0) -> Books:
    """Return books after these members' balances moved; ``lost`` disappears from Lion's ledger."""
    ledgers: dict[str, Any] = {}
    positions = []
    for fsp in FSPS:
        members = [story.msisdn(fsp, number) for number in range(1, 6)]
        accounts = [
            {"accountId": f"{fsp}-{msisdn[-1]}", "msisdn": msisdn, "balance": OPENING + moved.get(msisdn, 0)}
            for msisdn in members
        ]
        for account in accounts:
            account["held"] = 0
        net = sum(moved.get(msisdn, 0) for msisdn in members)
        if fsp == "lion":
            accounts[0]["balance"] -= lost
            accounts[1]["held"] = held
        savings = sum(account["balance"] for account in accounts)
        ledgers[fsp] = {
            "accounts": accounts,
            "trialBalance": {"debits": savings, "credits": savings},
            "totals": {"savings": savings, "settlement": net, "feeIncome": 0},
        }
        positions.append({"fspId": fsp, "position": -net, "reserved": reserved if fsp == "lion" else 0})
    return books(ledgers, positions)


def _status(plan: story.PlannedPayment, *, handed_over: bool, state: str | None = None) -> TransferStatus:
    error = TransferError(code=plan.errors[0], description="refused") if plan.errors else None
    return TransferStatus(
        transaction_id=plan.key,
        state=state or plan.outcome,
        amount=ChannelMoney(amount=plan.amount.decimal_text(), currency=plan.amount.currency),
        payer=PartyIdInfo(party_id_type="MSISDN", party_identifier=plan.payer),
        payee=PartyIdInfo(party_id_type="MSISDN", party_identifier=plan.payee),
        started_at="2026-01-01T00:00:00.000Z",
        ended_at="2026-01-01T00:00:00.250Z",
        error=error,
        handed_over=handed_over,
    )


def _findings(**changes: Any) -> Findings:
    planned = story.payments()
    statuses = [
        _status(plan, handed_over=plan.reaches_switch and index % 2 == 0)
        for index, plan in enumerate(planned)
    ]
    moved = story.movements([plan for plan in planned if plan.outcome == "COMPLETED"])
    values: dict[str, Any] = {
        "planned": planned,
        "statuses": statuses,
        "before": _books({}),
        "after": _books(moved),
        "audit": AuditState(
            figures=AuditFigures(engine_events=100, stored_events=100, gaps=0),
            tenants=[TenantRecords(tenant="lion", events=100, table="operations.events")],
        ),
        "told": {plan.key: plan.outcome for plan in planned},
        "ops_url": "http://127.0.0.1:1/login?code=x",
    }
    return Findings(**{**values, **changes})


def _broken(findings: Findings) -> set[str]:
    return {check.name for check in findings.checks() if not check.holds}


def _moved() -> dict[str, int]:
    return story.movements([plan for plan in story.payments() if plan.outcome == "COMPLETED"])


def test_a_good_run_breaks_no_check():
    findings = _findings()
    assert _broken(findings) == set()
    assert findings.document(1.0).money_conserved


def test_money_that_disappears_is_seen():
    findings = _findings(after=_books(_moved(), lost=1))
    assert "nothing was created or lost" in _broken(findings)
    assert not findings.document(1.0).money_conserved


def test_money_that_went_to_the_wrong_member_is_seen():
    moved = _moved()
    moved[story.msisdn("lion", 2)] -= 100
    moved[story.msisdn("lion", 3)] += 100
    findings = _findings(after=_books(moved))
    assert _broken(findings) == {"each member moved by exactly the completed payments"}
    assert not findings.document(1.0).money_conserved


@pytest.mark.parametrize("left", [{"held": 5}, {"reserved": 5}])
def test_a_reservation_that_is_left_is_seen(left: dict[str, int]):
    assert _broken(_findings(after=_books(_moved(), **left))) == {"no reservation is left"}


@pytest.mark.parametrize(("stored", "gaps"), [(99, 0), (101, 0), (100, 1)])
def test_an_audit_that_differs_is_seen(stored: int, gaps: int):
    figures = AuditFigures(engine_events=100, stored_events=stored, gaps=gaps)
    state = AuditState(figures=figures, tenants=[])
    assert not state.is_complete
    assert len(_broken(_findings(audit=state))) == 1


def test_a_payment_that_ends_otherwise_is_seen():
    planned = story.payments()
    statuses = _findings().statuses
    wrong = [_status(planned[0], handed_over=True, state="PENDING"), *statuses[1:]]
    assert "every payment ended as it should" in _broken(_findings(statuses=wrong))


def test_a_webhook_that_did_not_come_or_told_otherwise_is_seen():
    planned = story.payments()
    told = {plan.key: plan.outcome for plan in planned}
    for wrong in (
        dict(list(told.items())[1:]),
        {**told, planned[0].key: "PENDING"},
        {**told, "other": "FAILED"},
    ):
        assert _broken(_findings(told=wrong)) == {
            "the channel was told every final state by a signed webhook"
        }


def test_a_run_without_handovers_is_seen():
    statuses = [_status(plan, handed_over=False) for plan in story.payments()]
    broken = _broken(_findings(statuses=statuses))
    assert broken == {"half of the payments at the switch were handed over"}


def test_the_document_has_the_promised_keys_and_amounts_in_minor_units():
    document = msgspec.json.decode(msgspec.json.encode(_findings().document(8.04)))
    assert set(document) == set(Document.__struct_fields__) == {
        "payments", "balances", "money_conserved", "audit", "ops_url", "wall_s",
    }  # fmt: skip
    first = document["payments"][0]
    assert first == {
        "id": "demo-expired-quote",
        "payer": "buffalo:254700200001",
        "payee": "elephant:254700400005",
        "amount": 3500,
        "currency": "KES",
        "state": "FAILED",
        "error": "3302",
        "handed_over": True,
        "ms": 250,
    }
    assert set(document["balances"][0]) == {"fsp", "account", "before", "after", "held"}
    assert set(document["audit"]) == {"engine_events", "stored_events", "gaps"}
    assert document["wall_s"] == 8.0


def test_a_sandbox_that_forgot_everything_is_seen_and_told():
    fresh = _books({})
    after = Books(ledgers=fresh.ledgers, positions={})
    findings = _findings(after=after)
    assert "banks and switch agree, positions net to zero" in _broken(findings)
    output = io.StringIO()
    report.show(Console(file=output, width=110), findings, findings.checks(), 8.0)
    assert "the switch does not know lion, buffalo, rhino, elephant" in output.getvalue()


def test_the_report_fits_a_terminal_of_80_columns():
    output = io.StringIO()
    findings = _findings()
    report.show(Console(file=output, width=80), findings, findings.checks(), 8.0)
    text = output.getvalue()
    assert "…" not in text
    assert text.count("COMPLETED") == sum(status.state == "COMPLETED" for status in findings.statuses)
    for bank in story.NAMES.values():
        assert bank in text


def test_the_report_can_be_read_where_the_output_knows_ascii_only():
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding="ascii")
    findings = _findings(after=_books(_moved(), lost=1))
    shown = console(output)
    with Steps(shown).step("Start"):
        pass
    report.show(shown, findings, findings.checks(), 8.0)
    output.flush()
    text = raw.getvalue().decode("ascii")
    assert "ok Start" in text
    assert "ok no reservation is left" in text
    assert "FAILED nothing was created or lost" in text


def test_an_output_that_nobody_reads_ends_the_demonstration_in_a_sentence():
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(DemoError, match="output"), os.fdopen(writing, "w", encoding="utf-8") as output:
        console(output).print("anybody there?")


def test_the_report_says_which_payments_travelled():
    output = io.StringIO()
    findings = _findings()
    report.show(Console(file=output, width=110), findings, findings.checks(), 8.0)
    text = output.getvalue()
    assert text.count("over NATS") == sum(status.handed_over for status in findings.statuses)
    assert "operations.events" in text
    assert "✗" not in text
