"""The proof of isolation, against a whole installation."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from support.house import House, running_house

from payhub_cli.demo.client import Api
from payhub_cli.isolation.strangers import OTHER, strangers
from payhub_cli.isolation.suite import prove

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(server_folder: Path) -> AsyncIterator[House]:
    async with running_house(server_folder / "isolated-house") as running:
        yield running


async def test_no_operation_of_any_document_reaches_another_institution(house: House) -> None:
    token = house.installation.around.secrets.aggregator_token
    tenants = Api(house.session, house.installation.url("tenants"), {"Authorization": f"Bearer {token}"})
    who = await strangers(house.gateway, tenants)
    before = (await house.books()).ledgers[OTHER]
    report = await prove(house.session, house.gateway, tenants, who, lambda _: None)
    # Times are for a quiet machine: the command judges them.
    assert [finding for finding in report.findings if finding.flaw != "slower"] == []
    assert report.unharmed
    assert len(report.rows) >= report.operations > 40
    assert (await house.books()).ledgers[OTHER] == before
