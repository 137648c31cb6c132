"""The contract's file is a valid description, and its codes and states are those of the client."""

import json
from decimal import Decimal

import jsonschema
import pytest
from support.contract_bank import (
    CONTRACT,
    CREDENTIALS,
    ContractAccount,
    ContractBank,
    operation_of,
    resolved,
    validate,
)

from payhub_engines.connectors.ams.contract_api import STATUSES


def test_every_schema_of_the_contract_is_one_and_every_reference_leads_somewhere():
    for schema in CONTRACT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    found = list(references(CONTRACT))
    assert len(found) > 40
    for reference in found:
        _, room, kind, name = reference.split("/")
        assert name in CONTRACT[room][kind], reference


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_operation_answers_in_the_contracts_words():
    codes = CONTRACT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert set(codes) == set(STATUSES)
    for code, status in STATUSES.items():
        tellers = [
            operation
            for item in CONTRACT["paths"].values()
            for method, operation in item.items()
            if method in {"get", "put", "post"}
            and f"`{code}`" in resolved(operation["responses"].get(str(status), {})).get("description", "")
        ]
        assert tellers, f"{code} is answered nowhere"


def test_operation_ids_are_single_and_each_operation_says_what_a_failure_is():
    operations = [
        operation
        for item in CONTRACT["paths"].values()
        for method, operation in item.items()
        if method in {"get", "put", "post"}
    ]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all("default" in operation["responses"] for operation in operations)


@pytest.mark.parametrize(
    ("amount", "fits"),
    [
        ("0", True),
        ("10.50", True),
        ("0.0001", True),
        ("-1", False),
        ("1e3", False),
        ("01", False),
        ("", False),
    ],
)
def test_amounts_are_plain_decimal_text(amount, fits):
    schema = {"$ref": "#/components/schemas/Amount"}
    if fits:
        validate(schema, amount)
    else:
        with pytest.raises(jsonschema.ValidationError):
            validate(schema, amount)


def test_a_request_that_the_contract_does_not_have_is_noticed():
    with pytest.raises(AssertionError):
        operation_of("DELETE", ["reservations", "r"])


STATES = ["unknown", "HELD", "COMMITTED", "RELEASED"]


@pytest.mark.parametrize("state", STATES)
async def test_the_table_of_states_is_what_a_conforming_bank_does(state):
    rows = [
        line.strip(" |").split(" | ") for line in CONTRACT["info"]["description"].splitlines() if "|" in line
    ]
    table = {row[0]: row[1:] for row in rows}
    before = {"unknown": [], "HELD": ["PUT"], "COMMITTED": ["PUT", "commit"], "RELEASED": ["PUT", "release"]}
    for act, wanted in zip(("PUT", "commit", "release"), table[state], strict=True):
        bank = ContractBank(accounts={"A1": ContractAccount(Decimal(1000))})
        for step in before[state]:
            assert (await send(bank, step)).status == 200
        answer = await send(bank, act)
        told = json.loads(answer.body).get("state") if answer.status == 200 else str(answer.status)
        assert told == wanted, act


async def send(bank, act):
    money = {"amount": "10.00", "currency": "KES"}
    body = {"transactionId": "t", "accountId": "A1", "amount": money, "fee": money} if act == "PUT" else {}
    path = "/reservations/r" + ("" if act == "PUT" else f"/{act}")
    return await bank.request(
        "PUT" if act == "PUT" else "POST",
        f"http://bank.test/payhub{path}",
        headers={"Authorization": CREDENTIALS},
        body=json.dumps(body).encode(),
        timeout_s=1.0,
    )
