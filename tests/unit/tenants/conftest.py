"""An aggregator's client of the control plane in memory."""

from collections.abc import AsyncIterator

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from unit.tenants.tenants_kit import TOKEN, Plane


@pytest.fixture
def plane() -> Plane:
    return Plane()


@pytest.fixture
async def api(plane: Plane) -> AsyncIterator[AsyncTestClient[Litestar]]:
    async with AsyncTestClient(plane.app()) as client:
        client.headers["authorization"] = f"Bearer {TOKEN}"
        yield client
