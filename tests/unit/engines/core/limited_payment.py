"""A small payment that is counted against limits, and what it starts with."""

from unit.engines.core.conftest import Model

LIMITS = {
    "per_payment_minor": 1_000,
    "per_day_minor": 10_000,
    "per_member_day_minor": 2_500,
    "velocity_payments": 3,
    "velocity_window_ms": 3_600_000,
}


def payment(process="p"):
    """Build a payment: it is counted, held, and either settled or given back."""
    headers = {"limits": "= limits", "member": "= member", "amount": "= amount"}
    whole = Model(process).start().job("take", "payhub:take-allowance", headers=headers)
    whole.boundary("over", "take", error="limit-exceeded").end("refused").job("hold")
    whole.boundary("not-held", "hold", error="refused").job("give-back", "payhub:return-allowance")
    whole.end("failed").end("settled").path("start", "take", "hold", "settled").path("over", "refused")
    return whole.path("not-held", "give-back", "failed").xml()


def variables(member="A1", minor=100, currency="UGX", limits=LIMITS):
    amount = {"amount": str(minor), "currency": currency}
    return {"limits": limits, "member": member, "amount": amount}
