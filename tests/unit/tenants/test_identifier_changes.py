"""Identifiers are looked up, moved and withdrawn; files of them are worked through and reported."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import Plane, create_request, identifier

Api = AsyncTestClient[Litestar]
BASE = "/v1/tenants/buffalo"
ONE = f"{BASE}/party-identifiers/MSISDN/254700200001"
FILE = f"{BASE}/party-identifier-file"
HEADER = "type,value,subId,accountId\n"


@pytest.fixture(autouse=True)
async def buffalo(api: Api) -> None:
    assert (await api.post("/v1/tenants", json=create_request())).status_code == 201
    await api.post(f"{BASE}/party-identifiers", json={"identifiers": [identifier()]})


async def send(api: Api, text: str) -> Any:
    return await api.put(FILE, content=text.encode(), headers={"content-type": "text/csv"})


async def test_an_identifier_is_found_by_its_own_institution_only(api: Api):
    await api.post("/v1/tenants", json=create_request("rhino"))
    assert (await api.get(ONE)).json()["accountId"] == "B-1"
    for path in (ONE.replace("buffalo", "rhino"), f"{ONE}?sub_id=x", ONE.replace("MSISDN", "NOTHING")):
        answer = await api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "identifier-not-found")


async def test_a_member_moves_to_another_account(api: Api, plane: Plane):
    for _ in range(2):
        moved = await api.put(f"{ONE}/account", json={"accountId": "B-2"})
        assert (moved.status_code, moved.json()["accountId"]) == (200, "B-2")
    assert plane.ams.accounts == {("MSISDN", "254700200001", ""): "B-2"}
    assert plane.scheme.participants == {("MSISDN", "254700200001", ""): "buffalo"}
    actions = [entry.action for entry in plane.store.kept.audit.rows["buffalo"]]
    assert actions.count("identifier.moved") == 1


async def test_a_move_that_is_cut_off_credits_nobody_and_goes_on(api: Api, plane: Plane):
    withdraw = plane.ams.withdraw

    async def withdraw_and_fall(*args: Any, **options: Any) -> None:
        await withdraw(*args, **options)
        plane.ams.is_down = True

    plane.ams.withdraw = withdraw_and_fall  # type: ignore[method-assign]
    half = await api.put(f"{ONE}/account", json={"accountId": "B-2"})
    assert (half.status_code, half.json()["code"]) == (422, "not-done-outside")
    assert plane.ams.accounts == {}  # neither the old account nor the new one
    plane.ams.is_down, plane.ams.withdraw = False, withdraw  # type: ignore[method-assign]
    again = await api.put(f"{ONE}/account", json={"accountId": "B-2"})
    assert (again.json()["state"], plane.ams.accounts) == (
        "registered", {("MSISDN", "254700200001", ""): "B-2"},
    )  # fmt: skip


async def test_withdrawing_tells_the_scheme_first_and_may_be_repeated(api: Api, plane: Plane):
    plane.scheme.is_down = True
    refused = await api.delete(ONE)
    assert (refused.status_code, refused.json()["code"]) == (422, "not-done-outside")
    assert plane.ams.accounts  # the core bank keeps it while the scheme still sends payments here
    plane.scheme.is_down = False
    for _ in range(2):
        assert (await api.delete(ONE)).status_code == 204
    assert (plane.scheme.participants, plane.ams.accounts) == ({}, {})
    assert (await api.get(ONE)).status_code == 404


async def test_withdrawing_leaves_what_the_core_bank_knows_for_another_account(api: Api, plane: Plane):
    plane.ams.accounts["MSISDN", "7", ""] = "of somebody else"
    await api.post(f"{BASE}/party-identifiers", json={"identifiers": [identifier("7", "B-7")]})
    assert (await api.delete(f"{BASE}/party-identifiers/MSISDN/7")).status_code == 204
    assert plane.ams.accounts["MSISDN", "7", ""] == "of somebody else"


async def test_a_file_that_cannot_go_on_does_not_hold_up_others(api: Api, plane: Plane):
    await api.post("/v1/tenants", json=create_request("rhino"))
    for name in ("buffalo", "rhino"):
        path = FILE.replace("buffalo", name)
        assert (await api.put(path, content=f"{HEADER}MSISDN,1,,A-1\n".encode())).status_code == 202
    await plane.keys.destroy("buffalo")
    await plane.services().files.work()
    assert (await api.get(FILE)).json()["done"] is False
    assert (await api.get(FILE.replace("buffalo", "rhino"))).json()["registered"] == 1


async def test_a_file_of_an_institution_that_leaves_is_refused_line_by_line(api: Api, plane: Plane):
    await send(api, HEADER + "MSISDN,1,,A-1\n")
    assert (await api.post(f"{BASE}/offboard", json={"reason": "letter 9"})).status_code == 200
    await plane.services().files.work()
    report = (await api.get(FILE)).json()
    assert (report["done"], [line["code"] for line in report["refusedLines"]]) == (True, ["tenant-leaving"])


async def test_a_file_is_worked_through_and_its_refused_lines_are_told(api: Api, plane: Plane):
    lines = [f"MSISDN,2547{number:08d},,A-{number}" for number in range(250)]
    lines[3] = "MSISDN,with/slash,,A-3"
    lines[5] = lines[4]
    lines[101] = "NOTHING,1,,A"
    lines[120] = "MSISDN,1"
    plane.ams.accounts["MSISDN", "254700000200", ""] = "other"
    text = HEADER + "\n".join(lines) + "\n"
    taken = await send(api, text)
    assert (taken.status_code, taken.json()["done"], taken.json()["lines"]) == (202, False, 250)
    kept = repr(plane.store.kept.documents.rows)
    assert "254700000007" not in kept  # members' data waits sealed
    other = await send(api, HEADER + "MSISDN,1,,A\n")
    assert (other.status_code, other.json()["code"]) == (409, "file-open")
    assert (await send(api, text)).json()["fileId"] == taken.json()["fileId"]
    await plane.services().files.work()
    report = (await api.get(FILE)).json()
    assert (report["done"], report["workedOn"], report["registered"], report["refused"]) == (
        True, 250, 245, 5,
    )  # fmt: skip
    assert [(line["line"], line["code"]) for line in report["refusedLines"]] == [
        (5, "invalid-field"),
        (7, "duplicate-identifier"),
        (103, "invalid-field"),
        (122, "invalid-line"),
        (202, "account-mismatch"),
    ]
    assert "with/slash" not in str(report)
    assert plane.store.kept.documents.rows["buffalo", "identifier-file"]["content_sealed"] == ""


async def test_a_file_that_was_cut_off_goes_on_where_it_was(api: Api, plane: Plane):
    await send(api, HEADER + "".join(f"MSISDN,2547{number:08d},,A-{number}\n" for number in range(250)))
    await plane.services().files._some("buffalo")
    assert (await api.get(FILE)).json()["workedOn"] == 100
    fresh = plane.services().files  # as after a restart
    await fresh.work()
    report = (await api.get(FILE)).json()
    assert (report["registered"], report["refused"], report["done"]) == (250, 0, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "unexpected-columns"),
        ("type,value\nMSISDN,1\n", "unexpected-columns"),
        (HEADER, "empty-file"),
        (HEADER + '"open', "malformed-csv"),
        (HEADER + "MSISDN,1,,A\n" * 50_001, "too-many-lines"),
    ],
)
async def test_what_is_no_file_of_identifiers_is_refused(api: Api, text: str, code: str):
    answer = await send(api, text)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await api.get(FILE)).json()["code"] == "no-file"
    assert (await api.put(FILE, content=b"\xff\xfe\x00")).json()["code"] == "malformed-csv"
    assert (await api.put(FILE, content=b"x" * (4 * 1024 * 1024 + 1))).status_code == 413
