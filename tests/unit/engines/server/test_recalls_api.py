"""What an engine answers to who asks whether it has begun something."""

import random
from typing import Any

import httpx
import msgspec
import pytest
from litestar.handlers import HTTPRouteHandler
from simulation.moving_world import MovingEngine, wanted
from simulation.virtual_time import run_virtual
from unit.gateway.gateway_kit import tenant_config

from payhub_engines.server.app import CONTROLLERS
from payhub_engines.server.recalls_api import PROCESSES
from payhub_platform.contracts.engine import HEADER_EPOCH, HEADER_TENANT, PATH_RECALLS

HEADERS = {"authorization": "Bearer secret", HEADER_TENANT: "buffalo"}


def answers(*requests: tuple[str, int, Any]) -> list[tuple[int, str]]:
    """Return what an engine that serves epoch 1 answers to requests under epochs: status, code or id."""

    async def ask() -> list[tuple[int, str]]:
        engine, told = MovingEngine("north", random.Random(1)), []
        engine.known["buffalo"] = tenant_config("buffalo", [], epoch=1, version=1, placement=["north"])
        engine.begin()
        assert engine.http is not None
        for path, epoch, body in requests:
            headers = {**HEADERS, HEADER_EPOCH: str(epoch), "content-type": "application/json"}
            answer: httpx.Response = await engine.http.post(path, content=body, headers=headers)
            told.append((answer.status_code, answer.json().get("code") or answer.json()["transactionId"]))
        await engine.crash()
        return told

    return run_virtual(ask())


def start(number: int) -> tuple[str, int, bytes]:
    path, body = wanted(number)
    return path, 1, msgspec.json.encode(body)


def recall(path: str, number: int, fingerprint: str = "f") -> tuple[str, int, bytes]:
    asked = {"path": path, "payment_id": wanted(number)[1].payment_id, "fingerprint": fingerprint}
    return PATH_RECALLS, 2, msgspec.json.encode(asked)


@pytest.mark.parametrize("number", [0, 1])
def test_what_was_begun_is_answered_as_it_was_then_and_its_key_holds(number: int) -> None:
    path, started = wanted(number)
    begun = (202, started.payment_id)
    told = answers(start(number), recall(path, number), recall(path, number, "other"), start(number))
    assert told == [begun, begun, (422, "key-reused"), begun]


@pytest.mark.parametrize("number", [0, 1])
def test_what_was_denied_does_not_begin_afterwards(number: int) -> None:
    path, _ = wanted(number)
    assert answers(recall(path, number), start(number)) == [(404, "payment-not-found"), (409, "stale-epoch")]


def test_a_path_that_is_not_known_is_not_denied() -> None:
    assert answers(recall("/engine/v1/unheard-of", 0), start(0)) == [
        (404, "not-found"),
        (202, wanted(0)[1].payment_id),
    ]


def test_all_that_a_gateway_has_begun_can_be_recalled() -> None:
    begin = {
        controller.path
        for controller in CONTROLLERS
        for handler in vars(controller).values()
        if isinstance(handler, HTTPRouteHandler) and "POST" in handler.http_methods and handler.paths == {"/"}
    }
    assert begin - {PATH_RECALLS} == set(PROCESSES)
