"""Every refusal of an HTTP service is a problem that says what, where, and nothing of our insides."""

import logging
from typing import Annotated, Any

import msgspec
import pytest
from litestar import Litestar, get
from litestar.exceptions import InternalServerException, PermissionDeniedException
from litestar.params import FromQuery, Parameter
from litestar.testing import AsyncTestClient

from payhub_platform.contracts.channel import TransferRequest
from payhub_platform.errors import PROBLEM_MEDIA_TYPE, InvalidInputError
from payhub_platform.http import decode_body, exception_handlers

PARTY = b'{"partyIdInfo":{"partyIdType":"MSISDN","partyIdentifier":"254700000001"}}'


class Loose(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[Any] = []


def refusal(body: bytes, kind: type[msgspec.Struct]) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        decode_body(body, msgspec.json.Decoder(kind).decode)
    return caught.value


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"rows":[],"rows":[1]}', "/rows"),
        (b'{"rows":[{"a":1,"a":1}]}', "/rows/0/a"),
        (b'{"rows":[0,[{"a":{"b":1,"\\u0062":2}}]]}', "/rows/1/0/a/b"),
    ],
)
def test_a_field_that_is_there_twice_is_refused(body: bytes, where: str) -> None:
    assert (refusal(body, Loose).code, refusal(body, Loose).where) == ("duplicate-field", where)


def test_the_second_of_two_amounts_is_never_paid() -> None:
    body = b'{"payer":%s,"payee":%s,"amount":{"amount":"1","amount":"900","currency":"KES"}}' % (PARTY, PARTY)
    error = refusal(body, TransferRequest)
    assert (error.code, error.where) == ("duplicate-field", "/amount/amount")


def test_long_numbers_are_no_reason_to_fail() -> None:
    decoder = msgspec.json.Decoder(Loose)
    decode_body(b'{"rows":[' + b"9" * 300 + b",1e300]}", decoder.decode)


def test_nesting_deeper_than_the_stack_is_malformed() -> None:
    body = b'{"rows":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    assert (refusal(body, Loose).code, refusal(body, Loose).where) == ("malformed-json", "/")


@pytest.mark.parametrize(
    ("name", "where"),
    [("a/b~c", "/a~1b~0c"), ("a`b", "/a`b"), ("x - at `y", "/x - at `y")],
)
def test_an_unknown_field_is_pointed_to_whatever_its_name(name: str, where: str) -> None:
    assert refusal(msgspec.json.encode({name: 1}), Loose).where == where


@get("/list")
async def listing(limit: Annotated[int, Parameter(ge=1)] = 1) -> int:
    return limit


@get("/needs")
async def needs(tenant: FromQuery[str]) -> str:
    return tenant


@get("/forbidden")
async def forbidden() -> None:
    raise PermissionDeniedException("CSRF token verification failed")


@get("/broken")
async def broken() -> None:
    raise InternalServerException("no template /srv/payhub/secret.html")


def client() -> AsyncTestClient[Litestar]:
    handlers = [listing, needs, forbidden, broken]
    return AsyncTestClient(
        Litestar(handlers, exception_handlers=exception_handlers(), openapi_config=None, logging_config=None)
    )


async def test_a_parameter_that_does_not_fit_is_named_and_the_query_is_not_repeated() -> None:
    async with client() as http:
        answer = await http.get("/list?limit=0&q=254700000001")
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM_MEDIA_TYPE)
    problem = answer.json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("invalid-request", "query:limit")
    assert ">= 1" in problem["detail"]
    assert "254700000001" not in answer.text


async def test_a_parameter_that_is_missing_is_named() -> None:
    async with client() as http:
        problem = (await http.get("/needs")).json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("invalid-request", "query:tenant")


async def test_what_the_framework_forbids_has_a_code() -> None:
    async with client() as http:
        answer = await http.get("/forbidden")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_defect_that_the_framework_reports_stays_inside(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "payhub_platform.http"):
        async with client() as http:
            answer = await http.get("/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "secret.html" not in answer.text
    assert "secret.html" in caplog.text
