"""``/v1`` and Payment Hub EE's paths are one service, and the OpenAPI document tells all of it."""

import re
from typing import Any

import jsonschema
import msgspec
import pytest
from unit.gateway.gateway_kit import Gateway, assert_problem, party, transfer
from unit.gateway.openapi_kit import DOCUMENT, check_body

from payhub_platform import ids

STATES = {"PENDING": "RECEIVED", "COMPLETED": "COMMITTED", "FAILED": "ABORTED"}


async def send_v1(gateway: Gateway, body: Any, **headers: str) -> Any:
    sent = {"Authorization": f"Bearer {await gateway.token()}", "Idempotency-Key": '"key-1"', **headers}
    return await gateway.client.post("/v1/transfers", json=body, headers=sent)


async def get(gateway: Gateway, path: str, client: str = "buffalo-ussd") -> Any:
    headers = {"Authorization": f"Bearer {await gateway.token(client)}"}
    return await gateway.client.get(path, headers=headers)


async def test_the_same_key_is_the_same_transfer_under_both_paths(gateway: Gateway):
    answer = await send_v1(gateway, transfer())
    payment_id = ids.payment_id("buffalo", "buffalo-ussd", "key-1")
    assert (answer.status_code, answer.json()) == (202, {"transactionId": payment_id})
    assert answer.headers["location"] == f"/v1/transfers/{payment_id}"
    check_body(answer, "/v1/transfers", "post")
    assert (await gateway.send(transfer())).json() == answer.json()
    assert len(gateway.engine.payments) == 1
    status = await get(gateway, f"/v1/transfers/{payment_id}")
    check_body(status, "/v1/transfers/{payment_id}")
    hub = await gateway.status(payment_id)
    check_body(hub, "/channel/transfer/{payment_id}")
    assert hub.json() == {**status.json(), "transferState": "RECEIVED"}


async def test_a_key_is_wanted(gateway: Gateway):
    headers = {"Authorization": f"Bearer {await gateway.token()}"}
    answer = await gateway.client.post("/v1/transfers", json=transfer(), headers=headers)
    assert_problem(answer, 400, "missing-idempotency-key", "header:Idempotency-Key")
    check_body(answer, "/v1/transfers", "post")


@pytest.mark.parametrize("state", STATES)
async def test_a_state_is_told_as_it_is(gateway: Gateway, state: Any):
    payment_id = (await gateway.send(transfer())).json()["transactionId"]
    gateway.engine.state = state
    assert (await get(gateway, f"/v1/transfers/{payment_id}")).json()["state"] == state
    hub = (await gateway.status(payment_id)).json()
    assert (hub["state"], hub["transferState"]) == (state, STATES[state])
    answer = await get(gateway, "/channel/txnState/key-1")
    check_body(answer, "/channel/txnState/{correlation_id}")
    assert answer.json() == {"transactionId": payment_id, "transferState": STATES[state]}


async def test_a_key_finds_its_own_clients_transfer_alone(gateway: Gateway):
    await gateway.send(transfer())
    for key, client in (("key-2", "buffalo-ussd"), ("key-1", "lion-app")):
        answer = await get(gateway, f"/channel/txnState/{key}", client)
        assert_problem(answer, 404, "unknown-payment")
    answer = await get(gateway, "/channel/txnState/" + "a" * 65)
    assert_problem(answer, 400, "invalid-idempotency-key", "path:correlation_id")


async def test_a_header_may_name_the_payees_institution(gateway: Gateway):
    assert (await send_v1(gateway, transfer(), **{"X-PayeeDFSP-ID": "lion"})).status_code == 202
    [(_, payment, _)] = gateway.engine.calls
    assert payment.payee.fsp_id == "lion"
    body = transfer(payee=party("254700000002", fspId="rhino"))
    answer = await send_v1(gateway, body, **{"X-PayeeDFSP-ID": "lion"})
    assert_problem(answer, 400, "invalid-field", "/payee/partyIdInfo/fspId")


async def test_every_answer_to_a_known_client_tells_its_limits(gateway: Gateway):
    for path, operations in DOCUMENT["paths"].items():
        gateway.clock.advance(60)
        for method in operations:
            answer = await gateway.call(method.upper(), re.sub(r"{\w+}", "x", path))
            assert answer.status_code >= 400 or path in ("/v1/usage", "/v1/received-requests")
            assert answer.headers["ratelimit-policy"].startswith('"rate";q=20;w=2, "day"'), path
            assert answer.headers["ratelimit"].startswith('"rate";r='), path


async def test_the_document_is_served_to_everybody(gateway: Gateway):
    answer = await gateway.client.get("/v1/openapi.json")
    assert answer.json() == msgspec.json.decode(msgspec.json.encode(DOCUMENT))
    assert answer.headers["cache-control"] == "public, max-age=3600"


def test_the_document_names_every_route_of_the_api_and_no_other(gateway: Gateway):
    served = {
        (re.sub(r":\w+}", "}", route.path_format), method.lower())
        for route in gateway.app.routes
        for method in route.methods
        if route.path.startswith(("/v1/", "/channel/", "/accounts/")) and method not in ("OPTIONS", "HEAD")
    }
    told = {(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert told == served - {("/v1/openapi.json", "get")}


def test_the_document_holds_together():
    text = msgspec.json.encode(DOCUMENT).decode()
    for section, name in re.findall(r'"\$ref":"#/components/(\w+)/([\w-]+)"', text):
        assert name in DOCUMENT["components"][section]
    ids_told = [one["operationId"] for path in DOCUMENT["paths"].values() for one in path.values()]
    assert len(ids_told) == len(set(ids_told))
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    request = {"$ref": "#/components/schemas/TransferRequest", "components": DOCUMENT["components"]}
    jsonschema.validate(transfer(), request)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(transfer(colour="red"), request)
