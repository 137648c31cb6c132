from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from unit.engines.server.replica_kit import Replica


@pytest.fixture
async def replica_on(tmp_path: Path) -> AsyncIterator[Callable[[], Any]]:
    started: list[Replica] = []

    async def start(**options: Any) -> Replica:
        if started:
            await started.pop().stop()
        replica = Replica(tmp_path, **options)
        await replica.start()
        started.append(replica)
        return replica

    yield start
    for replica in started:
        await replica.stop()
