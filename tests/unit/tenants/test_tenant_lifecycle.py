"""From the request of an institution to its end, as an aggregator's people drive it through the API."""

import json
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import SCHEME, Plane, client_request, create_request, identifier

from payhub_platform.bus.directory import TenantDirectory
from payhub_tenants.audit.model import first_broken
from payhub_tenants.lifecycle.errors import JobOpenError, WrongStatusError
from payhub_tenants.lifecycle.model import MOVES, Job, LifecycleStatus, beginning, published_status
from payhub_tenants.tenants.login import sealed_secrets

Api = AsyncTestClient[Litestar]
BASE = "/v1/tenants/buffalo"
LIMITS = {
    "perPaymentMinor": 1_000,
    "perMemberDayMinor": 5_000,
    "perDayMinor": 90_000,
    "velocity": {"payments": 5, "windowMs": 60_000},
}
REASON = {"reason": "letter 17"}


async def operator(api: Api, name: str, *roles: str, **more: Any) -> dict[str, str]:
    made = await api.post("/v1/operators", json={"operatorId": name, "name": name, "roles": [*roles], **more})
    assert made.status_code == 201, made.text
    return {"authorization": f"Bearer {made.json()['token']}"}


async def approve(api: Api, answer: Any, by: dict[str, str]) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    path = f"{BASE}/approvals/{answer.json()['approvalId']}/approve"
    decided = await api.post(path, headers=by)
    assert decided.status_code == 200, decided.text
    view: dict[str, Any] = decided.json()
    return view


async def codes(api: Api, kind: str = "currentlyDue") -> list[str]:
    told = (await api.get(f"{BASE}/requirements")).json()
    assert all(each["why"] and each["whatToDo"] for each in told[kind])
    return [each["code"] for each in told[kind]]


async def status(api: Api) -> str:
    view: str = (await api.get(f"{BASE}/lifecycle")).json()["status"]
    return view


async def certified(api: Api, plane: Plane) -> None:
    assert (await api.post("/v1/tenants", json=create_request())).status_code == 201
    await api.post(f"{BASE}/clients", json=client_request())
    await api.post(f"{BASE}/ams/check")
    await api.post(f"{BASE}/party-identifiers", json={"identifiers": [identifier()]})
    assert (await api.post(f"{BASE}/certify")).json()["state"] == "running"
    await plane.services().certification.work()
    assert await status(api) == "certified"
    plane.resolver.hosts["hooks.buffalo.ke"] = ["41.90.0.1"]
    hook = {"url": "https://hooks.buffalo.ke/p", "purpose": "webhook", "events": ["payment.completed"]}
    assert (await api.put(f"{BASE}/endpoints", json={"endpoints": [hook]})).status_code == 200


async def active(api: Api, plane: Plane) -> dict[str, str]:
    await certified(api, plane)
    second = await operator(api, "achieng", "approver")
    await approve(api, await api.put(f"{BASE}/limits", json=LIMITS), second)
    await approve(api, await api.post(f"{BASE}/go-live"), second)
    assert await status(api) == "active"
    return second


async def test_requirements_tell_at_any_time_what_is_missing_and_why(api: Api, plane: Plane):
    await api.post("/v1/tenants", json=create_request())
    assert await codes(api) == ["client", "ams-check", "party-identifier", "certification-report"]
    assert await codes(api, "eventuallyDue") == ["limits", "callback-endpoint", "approval"]
    early = await api.post(f"{BASE}/certify")
    assert (early.status_code, early.json()["code"]) == (409, "requirements-missing")
    await api.post(f"{BASE}/clients", json=client_request())
    plane.ams.is_down = True
    check = (await api.post(f"{BASE}/ams/check")).json()
    assert (check["answered"], check["reason"]) == (False, "ams-unreachable: No answer.")
    assert "ams-check" in await codes(api)
    plane.ams.is_down = False
    await api.post(f"{BASE}/ams/check")
    await api.post(f"{BASE}/party-identifiers", json={"identifiers": [identifier()]})
    assert await codes(api) == ["certification-report"]
    plane.now_ms += 25 * 3_600_000
    assert await codes(api) == ["ams-check", "certification-report"]
    plane.now_ms -= 48 * 3_600_000  # a clock that was set back makes no check fresh
    assert await codes(api) == ["ams-check", "certification-report"]


async def test_going_live_takes_two_people_and_leaves_evidence(api: Api, plane: Plane):
    await certified(api, plane)
    assert await codes(api) == ["limits", "approval"]
    first = await operator(api, "wanjiku", "operator", "approver")
    second = await operator(api, "achieng", "approver")
    await approve(api, await api.put(f"{BASE}/limits", json=LIMITS, headers=first), second)
    asked = await api.post(f"{BASE}/go-live", headers=first)
    again = await api.post(f"{BASE}/go-live", headers=first)
    assert again.json() == asked.json()
    path = f"{BASE}/approvals/{asked.json()['approvalId']}/approve"
    alone = await api.post(path, headers=first)
    assert (alone.status_code, alone.json()["code"]) == (403, "same-operator")
    root = await api.post(path)
    assert (root.status_code, root.json()["code"]) == (403, "role-missing")
    assert await status(api) == "certified"
    await approve(api, asked, second)
    assert (await api.post(path, headers=second)).status_code == 200  # the same decision again
    [job, *_] = (await api.get(f"{BASE}/lifecycle")).json()["jobs"]
    assert (job["kind"], [each["step"] for each in job["evidence"]]) == (
        "go-live", ["approval", "requirements"],
    )  # fmt: skip
    detail = job["evidence"][0]["detail"]
    assert (detail["requestedBy"], detail["approvedBy"]) == ("wanjiku", "achieng")
    refused = await api.post(f"{BASE}/approvals/{asked.json()['approvalId']}/refuse", headers=second)
    assert (refused.status_code, refused.json()["code"]) == (409, "approval-decided")


async def test_a_suspended_tenant_is_published_as_one_whose_payments_gateways_refuse(
    api: Api, plane: Plane, tmp_path: Path
):
    await active(api, plane)
    suspended = (await api.post(f"{BASE}/suspend", json=REASON)).json()
    assert (suspended["status"], suspended["jobs"][0]["waitsFor"]) == (
        "suspended", "publication to gateways and engines",
    )  # fmt: skip
    assert (await api.post(f"{BASE}/resume", json=REASON)).json()["code"] == "job-open"
    await plane.publisher.publish_waiting()
    directory = TenantDirectory(tmp_path / "tenants.cache")
    for config in plane.bus.published:
        directory.put(config)
    held = directory.get("buffalo")
    assert held is not None
    assert held.status == "suspended"
    assert held.limits is not None
    assert held.limits.per_payment_minor == 1_000
    await plane.services().lifecycle.run_waiting()
    again = (await api.post(f"{BASE}/suspend", json=REASON)).json()
    assert (len(again["jobs"]), again["jobs"][0]["evidence"][0]["step"]) == (4, "publication")
    assert (await api.post(f"{BASE}/resume", json=REASON)).json()["status"] == "active"
    await plane.publisher.publish_waiting()
    assert plane.bus.published[-1].status == "active"


async def test_a_tenant_is_drained_once_every_engine_of_it_says_so(plane: Plane, api: Api):
    await api.post("/v1/tenants", json=create_request())
    for placement in (["south"], ["north"]):
        await api.put(f"{BASE}/placement", json={"placement": placement})
    await api.post(f"{BASE}/offboard", json=REASON)
    lifecycle = plane.services().lifecycle

    async def waits_for() -> str | None:
        await plane.publisher.publish_waiting()
        await lifecycle.run_waiting()
        [job, *_] = (await api.get(f"{BASE}/lifecycle")).json()["jobs"]
        return cast("str | None", job.get("waitsFor"))

    plane.engines.behind.add("north")
    assert await waits_for() == "engine north has not heard of the suspension"
    plane.engines.behind.clear()
    plane.engines.silent.add("south")  # where it was before
    assert await waits_for() == "engine south does not answer: HTTP 503"
    plane.engines.silent.clear()
    assert await waits_for() is None


async def test_offboarding_goes_in_order_and_the_key_ends_it(api: Api, plane: Plane):
    second = await active(api, plane)
    early = await api.post(f"{BASE}/offboard", json=REASON)
    assert (early.status_code, early.json()["code"]) == (409, "wrong-status")
    await api.post(f"{BASE}/suspend", json=REASON)
    lifecycle = plane.services().lifecycle

    async def settle() -> dict[str, Any]:
        await plane.publisher.publish_waiting()
        await lifecycle.run_waiting()
        [job, *_] = (await api.get(f"{BASE}/lifecycle")).json()["jobs"]
        assert isinstance(job, dict)
        return job

    await settle()
    plane.engines.open["south", "buffalo"] = ["p-1"]
    await api.post(f"{BASE}/offboard", json=REASON)
    assert (await settle())["waitsFor"] == "1 payments under way and 0 callbacks at engine south"
    assert plane.bus.published[-1].clients == []
    assert (await api.post(f"{BASE}/clients", json=client_request("late"))).json()["code"] == "tenant-leaving"
    purge = await api.post(f"{BASE}/purge", json={"confirm": "buffalo"})
    assert purge.json()["code"] == "job-open"
    plane.engines.open.clear()
    plane.scheme.is_down = True
    job = await settle()
    assert ([each["step"] for each in job["evidence"]], job["waitsFor"]) == (
        ["credentials", "publication", "drain", "export"], "scheme-unreachable: No answer.",
    )  # fmt: skip
    assert len(plane.store.kept.identifiers.rows) == 1  # what the scheme still knows is kept
    plane.scheme.is_down = False
    assert (await settle())["remaining"] == []
    assert (plane.scheme.participants, plane.ams.accounts) == ({}, {})
    wrong = await api.post(f"{BASE}/purge", json={"confirm": "rhino"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "not-confirmed")
    assert (await api.put(f"{BASE}/scheme", json=SCHEME)).status_code == 200
    copy = plane.store.kept.tenants.rows["buffalo"]  # as a backup would hold it
    await approve(api, await api.post(f"{BASE}/purge", json={"confirm": "buffalo"}), second)
    job = await settle()
    assert (await status(api), job["evidence"][3]["detail"]["unreadable"]) == ("purged", [copy.key_id])
    kept = [(copy.ams_password_sealed, "ams"), (copy.private_key_sealed, "jws")]
    kept += [(sealed, "ilp") for sealed in copy.ilp_secrets_sealed]
    kept += zip(sealed_secrets(copy.scheme_settings), ("scheme-tls", "scheme-oauth"), strict=True)
    assert len([sealed for sealed, _ in kept if sealed]) == 5
    for sealed, purpose in kept:
        assert not await plane.vault.is_readable("buffalo", sealed, purpose)
    last = plane.bus.published[-1]
    assert (last.status, last.ams.password_sealed, last.signing_key.private_key_sealed) == (
        "suspended",
        "",
        "",
    )
    assert (last.ilp_secrets_sealed, last.scheme.tls, last.scheme.oauth) == ([], None, None)
    assert (await api.get(f"{BASE}/keys")).json() == []
    again = await api.post("/v1/tenants", json=create_request(name="Buffalo again"))
    assert (again.status_code, again.json()["code"]) == (409, "tenant-exists")
    assert first_broken(plane.store.kept.audit.rows["buffalo"]) is None


async def test_a_job_that_is_cut_off_anywhere_goes_on_and_does_no_step_twice():
    """Every transaction of a whole provisioning is once the last one before a crash."""
    for crash in range(1, 12):
        fresh = Plane()
        transactions = 0
        real = fresh.store._working

        def counted(real: Any = real, crash: int = crash) -> Any:
            nonlocal transactions
            transactions += 1
            if transactions > crash:
                raise ConnectionError("crash")
            return real()

        fresh.store._working = counted  # type: ignore[method-assign]
        async with AsyncTestClient(fresh.app(), raise_server_exceptions=False) as api:
            headers = {"authorization": "Bearer aggregator-token-of-a-test"}
            await api.post("/v1/tenants", json=create_request(), headers=headers)
            fresh.store._working = real  # type: ignore[method-assign]
            done = await api.post("/v1/tenants", json=create_request(), headers=headers)
            assert done.status_code in (200, 201)
            assert done.json()["status"] == "sandbox"
            view = (await api.get(f"{BASE}/lifecycle", headers=headers)).json()
        assert [each["step"] for each in view["jobs"][0]["evidence"]] == list(MOVES["provision"].steps)
        actions = [entry.action for entry in fresh.store.kept.audit.rows["buffalo"]]
        assert len(actions) == len(set(actions))


def test_every_job_begins_only_where_the_machine_says():
    statuses = list(get_args(LifecycleStatus))
    reachable: set[str] = {"requested"}
    for _ in statuses:
        reachable |= {
            state
            for move in MOVES.values()
            if move.begins & reachable
            for state in (move.during or move.ends, move.ends)
        }
    assert reachable == set(statuses)
    for kind, move in MOVES.items():
        for each in statuses:
            open_job = Job(
                tenant_id="t", number=1, kind="certify", reason="", started_by="x", started_at_ms=0
            )
            with pytest.raises(JobOpenError):
                beginning(each, kind, open_job)
            if each in move.begins:
                assert beginning(each, kind, None) == (move.during or each)
            else:
                with pytest.raises(WrongStatusError):
                    beginning(each, kind, None)
    assert [published_status(each) for each in ("active", "suspended", "purged")] == [
        "active", "suspended", "suspended",
    ]  # fmt: skip


async def test_an_institutions_own_people_reach_it_alone(api: Api):
    for name in ("buffalo", "rhino"):
        await api.post("/v1/tenants", json=create_request(name))
    own = await operator(api, "buffalo-staff", "operator", institution="buffalo")
    viewer = await operator(api, "auditor", "viewer")
    assert (await api.get(BASE, headers=own)).status_code == 200
    other = await api.get("/v1/tenants/rhino", headers=own)
    nobody = await api.get("/v1/tenants/nobody")
    assert (other.status_code, {**other.json(), "instance": ""}) == (404, {**nobody.json(), "instance": ""})
    for method, path in (("GET", "/v1/tenants"), ("POST", "/v1/tenants"), ("GET", "/v1/operators")):
        assert (await api.request(method, path, headers=own)).json()["code"] == "role-missing"
    assert (await api.get("/v1/tenants", headers=viewer)).status_code == 200
    assert (await api.post(f"{BASE}/keys", headers=viewer)).json()["code"] == "role-missing"
    assert (await api.delete("/v1/operators/buffalo-staff")).status_code == 204
    assert (await api.get(BASE, headers=own)).status_code == 401
    approver = {"operatorId": "x-y", "name": "x", "roles": ["approver"], "institution": "buffalo"}
    assert (await api.post("/v1/operators", json=approver)).status_code == 400


async def test_the_audit_is_a_chain_without_secrets(api: Api, plane: Plane):
    await active(api, plane)
    page = (await api.get(f"{BASE}/audit", params={"limit": 3})).json()
    assert [entry["number"] for entry in page["entries"]] == [1, 2, 3]
    rest = (await api.get(f"{BASE}/audit", params={"after": page["next"]})).json()["entries"]
    actions = [entry["action"] for entry in (*page["entries"], *rest)]
    assert actions[0] == "tenant.requested"
    assert "approval.approved" in actions
    text = json.dumps([*page["entries"], *rest])
    for secret in ("254700200001", "core bank password", "PRIVATE", "Bearer"):
        assert secret not in text
    entries = plane.store.kept.audit.rows["buffalo"]
    assert first_broken(entries) is None
    entries[2].detail["status"] = "forged"
    assert first_broken(entries) == 3
    del entries[1]
    assert first_broken(entries) == 2
