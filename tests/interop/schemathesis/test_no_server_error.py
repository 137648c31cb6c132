"""Schemathesis makes requests out of the published documents, good and bad ones: none is answered 5xx."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from interop.environments import ROOT, python_environment
from support.house import House, running_house

from payhub_cli.demo import story

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

REQUIREMENTS = ROOT / "requirements" / "schemathesis.txt"
EXAMPLES = 15
SEED = 7
# Tenant and payment of a path are such as are there, so that what lies behind is reached.
SETTINGS = """
[parameters]
"path.tenant_id" = "{tenant}"
"path.payment_id" = "{payment}"
"path.payment" = "{payment}"
"path.tenant" = "{tenant}"
"query.tenant" = "{tenant}"
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house() -> AsyncIterator[House]:
    with tempfile.TemporaryDirectory(prefix="payhub-tests-") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - root's PostgreSQL runs as another user
        async with running_house(Path(name) / "house") as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def settings(house: House) -> str:
    """What Schemathesis puts into paths; the payment is made before tenants are suspended by chance."""
    (paid,) = await house.pay(house.plan(1))
    return SETTINGS.format(tenant=story.PAYER_FSP, payment=paid.transaction_id)


async def explore(settings: str, folder: Path, document: str, base_url: str, authorization: str) -> None:
    """Let Schemathesis ask, and fail with what it tells where an answer was 5xx."""
    commands = await asyncio.to_thread(python_environment, REQUIREMENTS)
    config = folder / "schemathesis.toml"
    config.write_text(settings)
    process = await asyncio.create_subprocess_exec(
        str(commands / "schemathesis"),
        f"--config-file={config}",
        "run",
        base_url + document,
        f"--url={base_url}",
        f"--header=Authorization: {authorization}",
        "--checks=not_a_server_error",
        f"--max-examples={EXAMPLES}",
        f"--seed={SEED}",
        "--continue-on-failure",
        "--phases=examples,coverage,fuzzing",
        "--no-color",
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-8000:]


async def test_of_the_gateway(house: House, settings: str, tmp_path: Path) -> None:
    authorization = house.channel.headers["Authorization"]
    await explore(settings, tmp_path, "/v1/openapi.json", house.gateway.base_url, authorization)


async def test_of_the_tenants(house: House, settings: str, tmp_path: Path) -> None:
    token = house.installation.around.secrets.aggregator_token
    url = house.installation.url("tenants")
    await explore(settings, tmp_path, "/openapi/openapi.json", url, f"Bearer {token}")


async def test_of_operations(house: House, settings: str, tmp_path: Path) -> None:
    token = house.installation.around.secrets.operator_token
    url = house.installation.url("operations")
    await explore(settings, tmp_path, "/api/openapi/openapi.json", url, f"Bearer {token}")
