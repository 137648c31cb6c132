"""The payment suite: what it finds, what it tells to mend, and that it goes on where it was cut off."""

import contextlib
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from support.tenants_memory import MemoryHouse
from unit.tenants.tenants_kit import PEER_PEM, Plane, client_request, create_request, identifier

from payhub_tenants.certification.cases import CASES
from payhub_tenants.certification.model import CLAIM_MS

Api = AsyncTestClient[Litestar]
BASE = "/v1/tenants/buffalo"


def time_passes(plane: Plane) -> None:
    def passes(ms: int) -> None:
        plane.now_ms += ms

    plane.house.passes = passes


async def ready(api: Api, plane: Plane, **changes: Any) -> None:
    """An institution in the sandbox, with everything that the suite needs; every call takes half a second."""
    time_passes(plane)
    await api.post("/v1/tenants", json=create_request(**changes))
    await api.post(f"{BASE}/clients", json=client_request())
    await api.post(f"{BASE}/ams/check")
    await api.post(f"{BASE}/party-identifiers", json={"identifiers": [identifier()]})


async def run(api: Api, plane: Plane, **body: Any) -> dict[str, Any]:
    started = await api.post(f"{BASE}/certify", json=body or None)
    assert started.status_code == 202, started.text
    await plane.services().certification.work()
    report: dict[str, Any] = (await api.get(f"{BASE}/certification")).json()
    return report


async def lifecycle(api: Api) -> tuple[str, dict[str, Any]]:
    view = (await api.get(f"{BASE}/lifecycle")).json()
    return view["status"], view["jobs"][0]


async def test_all_cases_in_both_roles_certify_an_institution(api: Api, plane: Plane):
    await ready(api, plane)
    never = await api.get(f"{BASE}/certification")
    assert (never.status_code, never.json()["code"]) == (404, "no-certification")
    report = await run(api, plane)
    assert [line["caseId"] for line in report["cases"]] == [case.case_id for case in CASES]
    assert (report["state"], report["done"], report["total"]) == ("passed", len(CASES), len(CASES))
    assert {line["role"] for line in report["cases"]} == {"payer", "payee", "both"}
    assert all(line["passed"] and line["durationMs"] > 0 and not line["mend"] for line in report["cases"])
    lost = next(line for line in report["cases"] if line["caseId"] == "payer-answer-lost")
    assert (lost["expected"], lost["found"]) == (
        "825.00 KES: COMPLETED; the account debited once, and nothing is held",
        "COMPLETED; the account changed by -825.00 KES",
    )
    assert sum(line["movedMinor"] for line in report["cases"]) == plane.house.booked - 500_000
    status, job = await lifecycle(api)
    assert (status, [each["step"] for each in job["evidence"]]) == ("certified", ["suite", "requirements"])
    assert len(job["evidence"][0]["detail"]["sha256"]) == 64
    again = await api.post(f"{BASE}/certify")
    assert (again.status_code, again.json()["state"]) == (202, "passed")  # asking twice is asking once
    assert len((await api.get(f"{BASE}/lifecycle")).json()["jobs"]) == 2
    assert "254700200001" not in str(plane.store.kept.documents.rows)


WRONG = {
    824: ("twice", "payer-answer-twice", "-1648.00 KES", "ids of the first attempt"),
    803: ("held", "payer-no-liquidity", "more is held", "must be released"),
    826: ("held", "payee-aborted", "more is held", "after the scheme has committed"),
    828: ("twice", "payee-request-twice", "1656.00 KES", "ids of the first attempt"),
    825: ("never", "payer-answer-lost", "PENDING; it is under way", "had not ended in time"),
}


@pytest.mark.parametrize("amount", WRONG)
async def test_what_an_institution_gets_wrong_is_found_with_what_to_mend(api: Api, plane: Plane, amount: int):
    what, case_id, found, mend = WRONG[amount]
    await ready(api, plane)
    plane.house.wrong = {amount: what}
    report = await run(api, plane)
    wrong = [line for line in report["cases"] if not line["passed"]]
    assert wrong[0]["caseId"] == case_id
    assert found in wrong[0]["found"]
    assert mend in wrong[0]["mend"]
    status, job = await lifecycle(api)
    assert (status, job["remaining"], "endedAtMs" in job) == ("sandbox", [], True)
    assert case_id in job["failure"]
    due = (await api.get(f"{BASE}/requirements")).json()["currentlyDue"]
    assert case_id in due[-1]["why"]
    plane.house.wrong = {}
    plane.house.held = 0
    assert (await run(api, plane))["state"] == "passed"
    assert (await lifecycle(api))[0] == "certified"


async def test_a_booking_that_comes_late_is_found_by_the_last_case(api: Api, plane: Plane):
    await ready(api, plane)
    service = plane.services().certification
    await api.post(f"{BASE}/certify")
    for _ in CASES[:-1]:
        assert await service._one("buffalo")
    plane.house.booked -= 1_000
    await service.work()
    report = (await api.get(f"{BASE}/certification")).json()
    [wrong] = [line for line in report["cases"] if not line["passed"]]
    assert (wrong["caseId"], "after its payment had ended" in wrong["mend"]) == ("books", True)


async def test_a_run_goes_on_wherever_it_was_cut_off(api: Api, plane: Plane):
    await ready(api, plane)
    before = plane.store.kept
    assert (await run(api, plane))["state"] == "passed"
    for number in range(1, plane.house.calls + 1):
        fresh = Plane(secrets_key=plane.secrets_key, keys=plane.keys)
        fresh.store.kept = before  # its rows are never changed, only replaced
        house = await cut_off_at(fresh, number, late=number % 2 == 0)
        assert set(house.payments) == set(plane.house.payments), number
        assert len(house.ordered) == len(plane.house.ordered), number
        assert house.booked == plane.house.booked


async def cut_off_at(fresh: Plane, number: int, *, late: bool) -> MemoryHouse:
    time_passes(fresh)
    one, other = fresh.services().certification, fresh.services().certification
    await one.start("buffalo", None, "x")
    fresh.house.fails_at, fresh.house.fails_late = number, late
    with contextlib.suppress(BaseExceptionGroup):  # where it was a look, nothing is cut off late
        await one.work()
    await other.work()  # the claim of the first one holds
    fresh.now_ms += CLAIM_MS
    await other.work()
    view = await other.view("buffalo")
    assert view.state == "passed", (number, view)
    return fresh.house


async def test_two_copies_of_the_process_do_a_case_once(api: Api, plane: Plane):
    await ready(api, plane)
    await api.post(f"{BASE}/certify")
    one, other = plane.services().certification, plane.services().certification
    assert await one._one("buffalo")
    assert not await other._one("buffalo")
    plane.now_ms += CLAIM_MS
    assert await other._one("buffalo")
    assert not await one._one("buffalo")


async def test_progress_is_seen_while_it_runs(api: Api, plane: Plane):
    await ready(api, plane)
    started = (await api.post(f"{BASE}/certify")).json()
    assert (started["state"], started["done"], started["running"]) == ("running", 0, "payer-paid")
    service = plane.services().certification
    await service._one("buffalo")
    await plane.services().lifecycle.run_waiting()
    view = (await api.get(f"{BASE}/certification")).json()
    assert (view["done"], view["running"], view["endedAtMs"]) == (1, "payer-nobody", None)
    assert (await lifecycle(api))[1]["waitsFor"] == "payment suite: 1 of 12 cases are done"
    again = (await api.post(f"{BASE}/certify")).json()
    assert (again["job"], again["done"]) == (view["job"], 1)
    offboard = await api.post(f"{BASE}/offboard", json={"reason": "letter 17"})
    assert offboard.json()["code"] == "job-open"


async def test_what_is_away_ends_the_run_with_a_report(api: Api, plane: Plane):
    await ready(api, plane)
    plane.house.is_down = True
    report = await run(api, plane)
    assert (report["state"], len(report["cases"])) == ("failed", len(CASES))
    assert report["cases"][0]["found"] == "NOT BEGUN; no answer"
    plane.house.is_down, plane.house.tells_balance = False, False
    report = await run(api, plane)
    assert report["cases"][0]["found"] == "COMPLETED; the core bank tells no balance"
    assert not any(line["passed"] for line in report["cases"])


async def test_the_suite_is_refused_where_it_cannot_be_run(api: Api, plane: Plane):
    assert (await api.post(f"{BASE}/certify")).json()["code"] == "tenant-not-found"
    await api.post("/v1/tenants", json=create_request())
    early = await api.post(f"{BASE}/certify")
    assert (early.status_code, early.json()["code"]) == (409, "requirements-missing")
    await ready(api, plane)
    nobody = await api.post(f"{BASE}/certify", json={"type": "MSISDN", "value": "254700200009"})
    assert (nobody.status_code, nobody.json()["code"]) == (409, "no-member")
    assert (await lifecycle(api))[1]["kind"] == "provision"  # nothing was begun
    plane.house.sandbox_answers = False
    silent = await api.post(f"{BASE}/certify")
    assert (silent.status_code, silent.json()["code"]) == (503, "certification-unavailable")
    assert silent.headers["retry-after"] == "5"
    plane.house.has_sandbox = False
    none = await api.post(f"{BASE}/certify")
    assert (none.status_code, none.json()["code"]) == (409, "no-sandbox")


async def test_amounts_are_units_of_the_institutions_own_currency(api: Api, plane: Plane):
    await ready(api, plane, currency="UGX")
    report = await run(api, plane, type="MSISDN", value="254700200001")
    assert report["cases"][0]["expected"].startswith("10 UGX: COMPLETED")
    assert report["state"] == "passed"


async def test_the_suite_never_pays_at_another_switch(api: Api, plane: Plane):
    await ready(api, plane)
    real = {"baseUrl": "https://hub.scheme.ke/fspiop", "switchFspId": "Hub", "switchPublicKeyPem": PEER_PEM}
    service = plane.services().certification
    await api.post(f"{BASE}/certify")
    assert await service._one("buffalo")
    payments = set(plane.house.payments)
    assert (await api.put(f"{BASE}/scheme", json=real)).status_code == 200  # while it runs
    await service.work()
    report = (await api.get(f"{BASE}/certification")).json()
    assert report["cases"][1]["found"] == "NOT BEGUN; the institution's switch is not the sandbox's"
    assert (report["state"], set(plane.house.payments)) == ("failed", payments)
    refused = await api.post(f"{BASE}/certify")
    assert (refused.status_code, refused.json()["code"]) == (409, "not-at-sandbox")
