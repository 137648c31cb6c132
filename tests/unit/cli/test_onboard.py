"""`payhub onboard`: what it refuses before it has done anything, and how it tells what it found."""

from typing import Any, cast

import pytest

from payhub_cli.demo.client import Api
from payhub_cli.onboard.command import Outcome, show
from payhub_cli.onboard.errors import OnboardError
from payhub_cli.onboard.steps import Onboarding, Places, Step


class Guide:
    """A sandbox that tells its guide and takes nothing else."""

    def __init__(self, counterparties: list[dict[str, Any]]) -> None:
        self._guide = {"banks": [{"fspId": "lion"}, {"fspId": "rhino"}], "counterparties": counterparties}

    async def get(self, path: str) -> Any:
        assert path == "/sandbox"
        return self._guide


@pytest.mark.parametrize(
    ("bank", "counterparties"), [("nobody", [{"role": "DFSP"}]), ("lion", []), ("lion", [{"role": "FXP"}])]
)
async def test_what_the_sandbox_lacks_is_told_first(bank: str, counterparties: list[dict[str, Any]]):
    sandbox = cast("Api", Guide(counterparties))
    places = Places(tenants=sandbox, gateway=sandbox, sandbox=sandbox, engine="north", callback_urls=[])
    onboarding = Onboarding(places)
    with pytest.raises(OnboardError, match="its banks are lion, rhino"):
        await onboarding.run(bank)
    assert onboarding.steps == []


def test_a_failed_case_is_shown_with_what_to_mend(capsys: pytest.CaptureFixture[str]):
    case = {
        "caseId": "payer-paid", "durationMs": 1_200, "passed": False, "found": "FAILED with 2004",
        "expected": "10.00 KES: COMPLETED", "mend": "Register the callback addresses.",
    }  # fmt: skip
    report = {"state": "failed", "cases": [case, {**case, "caseId": "books", "passed": True}]}
    steps = [Step(call="POST /v1/tenants", what="the institution's request", ms=12)]
    show(Outcome(tenant="lion", payment="COMPLETED", wall_s=0.9, steps=steps, certification=report))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["12", "ms"]
    assert "first payment: COMPLETED" in lines[1]
    assert ("FAILED" in lines[2], lines[4].strip()) == (True, "Register the callback addresses.")
    assert ("passed" in lines[5], lines[6]) == (True, "Certification: failed")
