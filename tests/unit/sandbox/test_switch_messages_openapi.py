"""What the switch itself says is checked against the published OpenAPI of FSPIOP 1.1."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

SPECIFICATION = Path(__file__).parents[4] / "shared/data/specs/fspiop/fspiop-v1.1-openapi3.yaml"
TRANSFER_ID = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(scope="module")
def schemas():
    if not SPECIFICATION.exists():
        pytest.skip("the published specification is not present in this checkout")
    return yaml.safe_load(SPECIFICATION.read_text())


def check(specification, name, message):
    schema = {"$ref": f"#/components/schemas/{name}", "components": specification["components"]}
    jsonschema.Draft202012Validator(schema).validate(json.loads(message.body))


def test_answers_about_transfers(schemas, hub, buffalo, rhino, clock):
    ask = buffalo.message("GET", f"/transfers/{TRANSFER_ID}", to="switch")
    [unknown] = hub.receive(ask)
    check(schemas, "ErrorInformationObject", unknown)
    hub.receive(buffalo.prepare())
    [reserved] = hub.receive(ask)
    check(schemas, "TransfersIDPutResponse", reserved)
    committed, settled = hub.receive(rhino.fulfil("RESERVED"))
    check(schemas, "TransfersIDPutResponse", committed)
    check(schemas, "TransfersIDPatchResponse", settled)
    [told_again] = hub.receive(ask)
    check(schemas, "TransfersIDPutResponse", told_again)
    other_id = TRANSFER_ID.replace("1111-4", "2222-4")
    hub.receive(buffalo.prepare(transfer_id=other_id, ttl_ms=10))
    clock.now_ms += 11
    for expired in hub.expire():
        check(schemas, "ErrorInformationObject", expired)


def test_answers_about_participants_and_parties(schemas, hub, buffalo, rhino):
    body = {"fspId": "rhino", "currency": "KES"}
    [registered] = hub.receive(rhino.message("POST", "/participants/MSISDN/1", body))
    check(schemas, "ParticipantsTypeIDPutResponse", registered)
    [unknown] = hub.receive(buffalo.message("GET", "/parties/MSISDN/2"))
    check(schemas, "ErrorInformationObject", unknown)
