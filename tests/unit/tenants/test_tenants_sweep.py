"""Every operation of the OpenAPI document, called by people of another institution: there is nothing."""

import json
import re
from typing import Any

from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import Plane, client_request, create_request, identifier

Api = AsyncTestClient[Litestar]
VALUES = dict.fromkeys(("approval_id", "key_id", "operator_id", "endpoint_id"), "x") | {
    "type_": "MSISDN", "value": "254700200001",
}  # fmt: skip


async def test_no_operation_tells_another_institution_anything(api: Api, plane: Plane):
    for name in ("buffalo", "rhino"):
        await api.post("/v1/tenants", json=create_request(name))
    await api.post("/v1/tenants/buffalo/clients", json=client_request())
    await api.post("/v1/tenants/buffalo/party-identifiers", json={"identifiers": [identifier()]})
    body = {"operatorId": "rhino-staff", "name": "x", "roles": ["operator"], "institution": "rhino"}
    token = (await api.post("/v1/operators", json=body)).json()["token"]
    headers = {"authorization": f"Bearer {token}"}
    document = (await api.get("/openapi/openapi.json")).json()
    before = repr(plane.store.kept)
    swept = 0
    for path, method in operations(document):
        answers = {}
        for tenant in ("buffalo", "nobody"):
            url = re.sub(r"\{(\w+)\}", lambda part, t=tenant: {**VALUES, "tenant_id": t}[part[1]], path)
            answer = await api.request(method, url, headers=headers, json={"any": "body"})
            answers[tenant] = (answer.status_code, answer.text.replace(tenant, ""))
        code = json.loads(answers["buffalo"][1])["code"]
        expected = (404, "tenant-not-found") if "{tenant_id}" in path else (403, "role-missing")
        assert (answers["buffalo"][0], code) == expected, (method, path)
        assert answers["buffalo"] == answers["nobody"], (method, path)  # there or not, it looks the same
        swept += 1
    assert swept > 35
    assert repr(plane.store.kept) == before


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (path, method.upper())
        for path, methods in document["paths"].items()
        if path.startswith("/v1")
        for method in methods
    ]
