"""The tenant comes from the credential: what else names one may agree, or is refused and audited."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar, Request, get
from litestar.di import NamedDependency, Provide
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from unit.gateway.gateway_kit import assert_problem
from unit.gateway.oauth2_kit import House, assert_refused, house_of, running

from payhub_gateway.channel.access import Access
from payhub_gateway.oauth2 import tenants
from payhub_gateway.oauth2.tenants import HEADERS_NAMING_A_TENANT
from payhub_platform.http import exception_handlers


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_of(tmp_path) as held:
        yield held


def audited(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    """Return the lines about tenants; each request has one of its own, where its level is logged."""
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "payhub.audit"]
    return [line for line in lines if line["event"] != "request"]


@pytest.mark.parametrize("header", HEADERS_NAMING_A_TENANT)
async def test_a_header_that_names_another_tenant(
    house: House, header: str, caplog: pytest.LogCaptureFixture
):
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    assert (await client.pay(token, **{header: "buffalo"})).status_code == 202
    assert audited(caplog) == []
    for named, written in (
        ("lion", "lion"),
        ("nobody", "nobody"),
        ('x"}\n{"event":', "(unreadable)"),
        ("", "(unreadable)"),
    ):
        caplog.clear()
        sent = named.replace("\n", "")
        answer = await client.pay(token, **{header: sent})
        assert_problem(answer, 403, "tenant-mismatch", f"header:{header}")
        line = {"event": "tenant-mismatch", "tenant": "buffalo", "client": "buffalo-admin"}
        assert audited(caplog) == [{**line, "where": f"header:{header}", "named": written}]


async def test_a_token_is_not_asked_for_in_the_name_of_another_tenant(
    house: House, caplog: pytest.LogCaptureFixture
):
    client = house.client("buffalo-admin")
    assert (await client.token(headers={"Platform-TenantId": "buffalo"})).status_code == 200
    for path, form in (
        ("/oauth2/token", {"grant_type": "client_credentials"}),
        ("/oauth2/introspect", {"token": "x"}),
        ("/oauth2/revoke", {"token": "x"}),
        ("/oauth2/par", {"response_type": "code"}),
    ):
        caplog.clear()
        assert_refused(
            await client.post(path, form, headers={"Platform-TenantId": "lion"}), "invalid_request"
        )
        assert [line["named"] for line in audited(caplog)] == ["lion"]


async def test_two_headers_of_which_one_agrees(house: House):
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    headers = [
        ("Authorization", f"DPoP {token}"),
        ("DPoP", client.proof("GET", "/channel/transfer/x", token)),
        ("Platform-TenantId", "buffalo"),
        ("Platform-TenantId", "lion"),
    ]
    answer = await client.http.get("/channel/transfer/x", headers=headers)
    assert_problem(answer, 403, "tenant-mismatch", "header:Platform-TenantId")


async def test_a_path_that_names_another_tenant(house: House, caplog: pytest.LogCaptureFixture):
    @get("/v1/{tenant_id:str}/things")
    async def things(request: Request[Any, Any, Any], access: NamedDependency[Access]) -> str:
        return access.require(request, "payments:read").tenant.tenant_id

    access = house.apps[0].dependencies["access"]
    assert isinstance(access, Provide)
    app = Litestar(
        [things],
        dependencies={"access": access},
        exception_handlers=exception_handlers(),
        openapi_config=None,
        logging_config=None,
    )
    client = house.client("buffalo-admin")
    token = (await client.token()).json()["access_token"]
    async with running(app) as http:
        client.http = http
        answer = await client.call("GET", "/v1/buffalo/things", token)
        assert (answer.status_code, answer.text) == (200, "buffalo")
        answer = await client.call("GET", "/v1/lion/things", token)
        assert_problem(answer, 403, "tenant-mismatch", "path:tenant_id")
    assert [line["where"] for line in audited(caplog)] == ["path:tenant_id"]


async def test_each_tenants_token_opens_its_own_tenant(house: House):
    made = {}
    for tenant in ("buffalo", "lion"):
        client = house.client(f"{tenant}-admin")
        token = (await client.token()).json()["access_token"]
        made[tenant] = (await client.pay(token)).json()["transactionId"]
        for other, payment_id in made.items():
            answer = await client.call("GET", f"/channel/transfer/{payment_id}", token)
            assert answer.status_code == (200 if other == tenant else 404)
    assert len(set(made.values())) == 2  # the same key of two tenants is two payments


async def test_a_members_token_does_not_act_for_the_whole_tenant(house: House):
    tpp = await house.tpp()
    given = (await tpp.exchange(await tpp.code(scope="payments:write payments:read"))).json()
    assert given["scope"] == "payments:write payments:read"
    assert_problem(await tpp.pay(given["access_token"]), 403, "insufficient-scope", "header:Authorization")


def test_mismatches_are_counted(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr(
        tenants, "_refusals", provider.get_meter("t").create_counter("payhub.gateway.refusals")
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert (
                tenants.mismatch([("header:X", "buffalo"), ("header:Y", "lion")], "buffalo", "c")
                == "header:Y"
            )
        assert tenants.mismatch([("header:X", "buffalo")], "buffalo", "c") is None
    read = reader.get_metrics_data()
    assert read is not None
    points = list(read.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points)
    assert [(point.value, dict(point.attributes or {})) for point in points] == [
        (3, {"code": "tenant-mismatch", "tenant": "buffalo"})
    ]
    provider.shutdown()
    assert metrics.get_meter_provider() is not provider
