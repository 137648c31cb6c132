"""Groups that end with their test, so that pysyncobj gets its own clock back."""

import logging
from collections.abc import Callable, Iterator

import pytest
from unit.engines.consensus.gaps.stock import StockGroup


@pytest.fixture
def stock() -> Iterator[Callable[..., StockGroup]]:
    made: list[StockGroup] = []

    def make(*args: object, **options: object) -> StockGroup:
        made.append(StockGroup(*args, **options))
        return made[-1]

    logging.getLogger("pysyncobj").setLevel(logging.CRITICAL + 1)
    yield make
    for group in reversed(made):
        group.close()
    logging.getLogger("pysyncobj").setLevel(logging.NOTSET)
