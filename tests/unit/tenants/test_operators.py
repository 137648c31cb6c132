"""Operators: the installation's token cannot be two people, and everything about them is written down."""

from typing import Any

from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import Plane, create_request

from payhub_tenants.audit.model import first_broken

Api = AsyncTestClient[Litestar]
PATH = "/v1/operators"


async def make(api: Api, name: str, *roles: str) -> tuple[dict[str, Any], dict[str, str]]:
    made = await api.post(PATH, json={"operatorId": name, "name": name, "roles": [*roles]})
    assert made.status_code == 201, made.text
    return made.json(), {"authorization": f"Bearer {made.json()['token']}"}


async def test_the_first_two_approvers_are_let_in_by_nobody_and_every_further_one_by_an_approver(
    api: Api, plane: Plane
):
    states = [(await make(api, f"founder-{n}", "approver"))[0].get("state") for n in (1, 2)]
    assert states == [None, None]  # active
    third, by_third = await make(api, "third", "approver", "operator")
    assert third["state"] == "waiting"
    assert (await api.get("/v1/tenants", headers=by_third)).status_code == 401
    for attempt in (by_third, {}):  # itself, and the installation's token
        refused = await api.post(f"{PATH}/third/approve", headers=attempt)
        assert refused.status_code in (401, 403)
    _, viewer = await make(api, "auditor", "viewer")  # needs nobody: it approves nothing
    assert (await api.post(f"{PATH}/third/approve", headers=viewer)).json()["code"] == "role-missing"
    assert len(plane.store.kept.operators.rows) == 4


async def test_removing_approvers_does_not_make_new_ones_the_first(api: Api, plane: Plane):
    _, first = await make(api, "first", "approver")
    await make(api, "second", "approver")
    for name in ("second",):
        assert (await api.delete(f"{PATH}/{name}")).status_code == 204
        assert (await api.delete(f"{PATH}/{name}")).status_code == 404
    assert (await make(api, "another", "approver"))[0]["state"] == "waiting"
    taken = await api.post(PATH, json={"operatorId": "second", "name": "x", "roles": ["approver"]})
    assert (taken.status_code, taken.json()["code"]) == (409, "operator-exists")
    approved = await api.post(f"{PATH}/another/approve", headers=first)
    assert (approved.status_code, "token" in approved.json()) == (200, False)
    again = await api.post(f"{PATH}/another/approve", headers=first)
    assert (again.status_code, again.json()["code"]) == (409, "operator-active")
    gone = await api.post(f"{PATH}/second/approve", headers=first)
    assert (gone.status_code, gone.json()["code"]) == (404, "operator-not-found")
    assert plane.store.kept.operators.rows["another"].approved_by == "first"
    assert [each["operatorId"] for each in (await api.get(PATH)).json()] == ["another", "first"]


async def test_who_waits_opens_its_door_only_when_it_is_let_in(api: Api):
    _, first = await make(api, "first", "approver")
    await make(api, "second", "approver")
    _, late = await make(api, "late", "approver")
    await api.post("/v1/tenants", json=create_request())
    asked = (await api.post("/v1/tenants/buffalo/purge", json={"confirm": "buffalo"})).status_code
    assert asked == 409
    limits = {
        "perPaymentMinor": 1, "perMemberDayMinor": 1, "perDayMinor": 1,
        "velocity": {"payments": 1, "windowMs": 60_000},
    }  # fmt: skip
    waiting = (await api.put("/v1/tenants/buffalo/limits", json=limits)).json()["approvalId"]
    path = f"/v1/tenants/buffalo/approvals/{waiting}/approve"
    assert (await api.post(path, headers=late)).status_code == 401
    await api.post(f"{PATH}/late/approve", headers=first)
    assert (await api.post(path, headers=late)).json()["state"] == "approved"
    await api.delete(f"{PATH}/late")
    assert (await api.get("/v1/tenants", headers=late)).status_code == 401


async def test_everything_about_operators_is_written_down(api: Api, plane: Plane):
    _, first = await make(api, "first", "approver")
    await make(api, "second", "approver")
    await make(api, "third", "approver")
    await api.post(f"{PATH}/third/approve", headers=first)
    await api.delete(f"{PATH}/second")
    page = (await api.get(f"{PATH}/audit", params={"limit": 3})).json()
    rest = (await api.get(f"{PATH}/audit", params={"after": page["next"]})).json()["entries"]
    told = [
        (entry["action"], entry["actor"], entry["detail"]["operatorId"]) for entry in page["entries"] + rest
    ]
    assert told == [
        ("operator.created", "aggregator", "first"),
        ("operator.created", "aggregator", "second"),
        ("operator.created", "aggregator", "third"),
        ("operator.approved", "first", "third"),
        ("operator.removed", "aggregator", "second"),
    ]
    kept = plane.store.kept.installation_audit.rows[""]
    assert first_broken(kept) is None
    assert "pho_" not in str(kept)
    assert (await api.get(f"{PATH}/audit", headers=first)).json()["code"] == "role-missing"
