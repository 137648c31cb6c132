"""What the switch itself says is checked against the published OpenAPI files of FSPIOP 1.0, 1.1 and 2.0."""

import functools
import json

import jsonschema
import pytest
import yaml
from support.shared_data import shared_file

TRANSFER_ID = "11111111-1111-4111-8111-111111111111"
COMMIT_ID = "88888888-8888-4888-8888-888888888888"
VERSIONS = pytest.mark.parametrize("version", ["1.0", "1.1", "2.0"])


@functools.cache
def specification(version):
    name = f"fspiop-rest-v{version}-openapi3-snippets.yaml"
    return yaml.safe_load(shared_file("specs", "fspiop", name).read_text())


def check(version, name, message):
    assert message.headers["Content-Type"].endswith(f"version={version}")
    components = specification(version)["components"]
    schema = {"$ref": f"#/components/schemas/{name}", "components": components}
    jsonschema.Draft202012Validator(schema).validate(json.loads(message.body))


def sent(dfsp, message, version):
    body = json.loads(message.body)
    to = message.headers["fspiop-destination"]
    accept = message.headers.get("accept", "").replace("version=1", f"version={version}")
    return dfsp.message(message.method, message.path, body, to=to, version=version, Accept=accept)


@VERSIONS
def test_answers_about_transfers(version, hub, buffalo, rhino, clock):
    ask = buffalo.message("GET", f"/transfers/{TRANSFER_ID}", to="switch", version=version)
    [unknown] = hub.receive(ask)
    check(version, "ErrorInformationObject", unknown)
    hub.receive(sent(buffalo, buffalo.prepare(), version))
    [reserved] = hub.receive(ask)
    check(version, "TransfersIDPutResponse", reserved)
    committed, settled = hub.receive(sent(rhino, rhino.fulfil("RESERVED"), version))
    check(version, "TransfersIDPutResponse", committed)
    check("1.1" if version == "1.0" else version, "TransfersIDPatchResponse", settled)
    [told_again] = hub.receive(ask)
    check(version, "TransfersIDPutResponse", told_again)
    other_id = TRANSFER_ID.replace("1111-4", "2222-4")
    hub.receive(sent(buffalo, buffalo.prepare(transfer_id=other_id, ttl_ms=10), version))
    clock.now_ms += 11
    for expired in hub.expire():
        check(version, "ErrorInformationObject", expired)


@VERSIONS
def test_answers_about_participants_and_parties(version, hub, buffalo, rhino):
    body = {"fspId": "rhino", "currency": "KES"}
    [registered] = hub.receive(rhino.message("POST", "/participants/MSISDN/1", body, version=version))
    check(version, "ParticipantsTypeIDPutResponse", registered)
    party = {"partyIdType": "MSISDN", "partyIdentifier": "1"}
    many = {"requestId": TRANSFER_ID, "partyList": [party, party | {"partyIdentifier": "2"}]}
    hub.receive(buffalo.message("POST", "/participants/MSISDN/2", {"fspId": "buffalo"}))
    [registered] = hub.receive(rhino.message("POST", "/participants", many, version=version))
    check(version, "ParticipantsIDPutResponse", registered)
    [unknown] = hub.receive(buffalo.message("GET", "/parties/MSISDN/3", version=version))
    check(version, "ErrorInformationObject", unknown)


@VERSIONS
def test_answers_about_bulks(version, hub, buffalo, rhino):
    prepare = json.loads(buffalo.prepare().body)
    names = ("payerFsp", "payeeFsp", "expiration")
    transfer = {name: prepare[name] for name in ("transferId", "ilpPacket", "condition")}
    body = {name: prepare[name] for name in names} | {
        "bulkTransferId": COMMIT_ID,
        "bulkQuoteId": COMMIT_ID,
        "individualTransfers": [transfer | {"transferAmount": prepare["amount"]}],
    }
    hub.receive(buffalo.message("POST", "/bulkTransfers", body, to="rhino", version=version))
    ask = buffalo.message("GET", f"/bulkTransfers/{COMMIT_ID}", version=version)
    [interim] = hub.receive(ask)
    check(version, "BulkTransfersIDPutResponse", interim)
    done = {"bulkTransferState": "COMPLETED", "individualTransferResults": []}
    hub.receive(rhino.message("PUT", f"/bulkTransfers/{COMMIT_ID}", done, to="buffalo", version=version))
    [final] = hub.receive(ask)
    check(version, "BulkTransfersIDPutResponse", final)


def test_answers_about_conversions(hub, buffalo, rhino):
    prepare = json.loads(buffalo.prepare().body)
    body = {
        "commitRequestId": COMMIT_ID,
        "initiatingFsp": "buffalo",
        "counterPartyFsp": "rhino",
        "sourceAmount": prepare["amount"],
        "targetAmount": prepare["amount"],
        "condition": prepare["condition"],
        "expiration": prepare["expiration"],
    }
    hub.receive(buffalo.message("POST", "/fxTransfers", body, to="rhino", version="2.0"))
    state = json.loads(rhino.fulfil().body)
    fulfil = {"fulfilment": state["fulfilment"], "conversionState": "RESERVED"}
    path = f"/fxTransfers/{COMMIT_ID}"
    told, notified = hub.receive(rhino.message("PUT", path, fulfil, to="buffalo", version="2.0"))
    check("2.0", "FxTransfersIDPutResponse", told)
    check("2.0", "FxTransfersIDPatchResponse", notified)
    [providers] = hub.receive(buffalo.message("GET", "/services/FXP", version="2.0"))
    check("2.0", "ServicesFXPPutResponse", providers)
