"""A tenant is moved there and back while its payments and look-ups begin: none is lost, none begins twice."""

import logging

import pytest
from simulation.moving_world import PAYMENTS, MovingWorld
from simulation.virtual_time import run_virtual

from payhub_engines.server import recalls_api

SEEDS = 6
DEFECT_SEEDS = 40


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Leave out a line for each of thousands of requests."""
    caplog.set_level(logging.ERROR)
    caplog.set_level(logging.ERROR, logger="httpx")


def tell_some(count: int, **how: bool) -> int:
    """Return how many requests were accepted in so many stories."""
    return sum(tell(seed, **how) for seed in range(count))


def tell(seed: int, **how: bool) -> int:
    world = MovingWorld(seed, **how)
    try:
        run_virtual(world.tell())
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
    return sum(world.accepted.values())


@pytest.mark.timeout(120)
def test_everything_begins_once_wherever_its_tenant_is() -> None:
    accepted = tell_some(SEEDS)
    assert accepted > SEEDS * PAYMENTS  # repetitions were answered too, so the stories tell something


@pytest.mark.timeout(120)
def test_the_stories_find_out_when_nobody_is_asked() -> None:
    with pytest.raises(AssertionError, match="begun twice"):
        tell_some(DEFECT_SEEDS, former_is_told=False)


@pytest.mark.timeout(120)
def test_the_stories_find_out_when_an_engine_answers_without_a_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unfenced(stream, tenant, _epoch, find):
        return await stream.read(find, tenant)

    monkeypatch.setattr(recalls_api, "recalled", unfenced)
    with pytest.raises(AssertionError, match="begun twice"):
        tell_some(DEFECT_SEEDS)
