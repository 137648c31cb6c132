"""A database of each earlier version is brought to the newest one, and its tenants live on."""

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from support.servers import running_postgres
from support.tenants_memory import MemoryStore
from unit.tenants.tenants_kit import NOW_MS, PASSWORD, SWITCH_PEM, Plane

import payhub_tenants.migrations
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.security import jws
from payhub_tenants.database import Database
from payhub_tenants.identifiers.book import IdentifierBook, seal_identifiers
from payhub_tenants.keys.model import ActivateKey, PrepareKey
from payhub_tenants.keys.pem import key_id_of
from payhub_tenants.proof import prove
from payhub_tenants.vault import FileKeyProvider, KeyDestroyedError, Vault
from payhub_tenants.wiring import give_keys

PRESENT, EARLIER = jws.new_private_key_pem(), jws.new_private_key_pem("RS256")
EARLIER_UNTIL_MS = NOW_MS + 3_600_000
# Statements of the releases that wrote such rows.
FIRST_TENANT = """INSERT INTO tenants.tenants VALUES (:tenant, :tenant, 'Old SACCO', 'KES', :status, 3, 2, 3,
  '{north}', 'http://127.0.0.1:1/switch', 'switch', :switch_pem, 'http://127.0.0.1:1/bank', 'default',
  'payhub', :password, :key_id, :public_pem, :private_key, 5000, 'fingerprint', 1, 2)"""
# A report that others had written, before the suite was payhub's own, and a member's identifier in clear.
THIRD_ROWS = """DO $$ BEGIN
  PERFORM set_config('app.tenant', 'lion', true);
  SET LOCAL ROLE payhub_tenants_tenant;
  INSERT INTO tenants.documents VALUES ('lion', 'certification',
    '{"suite_version": "1", "ran_at_ms": 1, "cases": []}', 1);
  INSERT INTO tenants.party_identifiers
    VALUES ('lion', 'MSISDN', '254700100001', '', 'L-1', 'registered', '', 1);
  RESET ROLE;
END $$"""
SECOND_TENANT = """UPDATE tenants.tenants SET scheme_settings = CAST(:settings AS jsonb),
  earlier_keys = CAST(:earlier AS jsonb), ilp_secrets_sealed = ARRAY[:ilp] WHERE tenant_id = :tenant"""


async def at_version(url: str, version: str, statement: str, *rows: dict[str, str]) -> None:
    """Bring the schema to a version, and do what a release of that version did."""

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(payhub_tenants.migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, version)

    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE SCHEMA IF NOT EXISTS tenants"))
            await connection.run_sync(upgrade)
            for row in rows:
                await connection.execute(text(statement), row)
    finally:
        await engine.dispose()


def first(plane: Plane, tenant: str, status: str) -> dict[str, str]:
    public_pem = jws.public_pem(PRESENT)
    return {
        "tenant": tenant,
        "status": status,
        "switch_pem": SWITCH_PEM,
        "password": plane.secrets.seal(PASSWORD, f"ams:{tenant}"),
        "key_id": key_id_of(public_pem),
        "public_pem": public_pem,
        "private_key": plane.secrets.seal(PRESENT, f"jws:{tenant}"),
    }


def second(plane: Plane, tenant: str) -> dict[str, str]:
    secret = plane.secrets.seal("a secret", f"scheme-oauth:{tenant}")
    oauth = {"token_url": "https://idp.example/token", "client_id": "b", "client_secret_sealed": secret}
    before = {
        "fsp_id": tenant,
        "public_key_pem": jws.public_pem(EARLIER),
        "valid_until_ms": EARLIER_UNTIL_MS,
    }
    return {
        "tenant": tenant,
        "settings": msgspec.json.encode({"versions": ["2.0"], "oauth": oauth}).decode(),
        "earlier": msgspec.json.encode([before]).decode(),
        "ilp": plane.secrets.seal("an ILP secret", f"ilp:{tenant}"),
    }


async def test_tenants_of_every_release_live_on(tmp_path: Path):
    plane = Plane()
    with running_postgres(tmp_path / "postgres") as server:
        old = first(plane, "buffalo", "active"), first(plane, "lion", "suspended")
        await at_version(server.url, "0001", FIRST_TENANT, *old)
        await at_version(server.url, "0002", SECOND_TENANT, second(plane, "lion"))
        await at_version(server.url, "0003", THIRD_ROWS, {})
        database = Database(server.url)
        try:
            assert not await database.is_current()
            for _ in range(2):  # again, it changes nothing
                await database.migrate()
            plane = plane_of(database, plane, tmp_path / "keys")
            await they_are_published_as_before(database, plane)
            await reports_of_others_certify_nobody(database, plane)
            await they_get_keys_of_their_own(database, plane, tmp_path / "keys")
            await identifiers_are_sealed(database, plane)
        finally:
            await database.close()


def plane_of(database: Database, before: Plane, folder: Path) -> Plane:
    plane = Plane(secrets_key=before.secrets_key, store=cast("MemoryStore", database))
    plane.vault = Vault(FileKeyProvider(folder, plane.secrets), plane.secrets)
    plane.publisher = type(plane.publisher)(database, plane.bus, plane.vault)
    return plane


async def published(plane: Plane) -> dict[str, TenantConfig]:
    await plane.publisher.publish_waiting()
    # As it travels, so that unknown or missing fields would be found.
    return {
        config.tenant_id: msgspec.json.decode(msgspec.json.encode(config), type=TenantConfig)
        for config in plane.bus.published
    }


async def reports_of_others_certify_nobody(database: Database, plane: Plane) -> None:
    lifecycle = plane.services(database).lifecycle
    assert (await lifecycle.requirements("lion")).status == "suspended"
    async with database.transaction("lion") as transaction:
        assert set(await transaction.documents.all("lion")) == {"certification-reported"}


async def identifiers_are_sealed(database: Database, plane: Plane) -> None:
    book = IdentifierBook(plane.vault, plane.clock)
    await seal_identifiers(database, book)
    async with database.transaction("lion") as transaction:
        assert await transaction.identifiers.clear_rows("lion", 9) == []
        [row] = await transaction.identifiers.page("lion", "", 9)
        assert "254700100001" not in str(row)
        kept = await (await book.opened(transaction, "lion")).get(("lion", "MSISDN", "254700100001", ""))
    assert kept is not None
    assert (kept.account_id, kept.state) == ("L-1", "registered")


async def they_are_published_as_before(database: Database, plane: Plane) -> None:
    configs = await published(plane)
    buffalo, lion = configs["buffalo"], configs["lion"]
    assert [(each.status, each.version, each.epoch) for each in (buffalo, lion)] == [
        ("active", 3, 2),
        ("suspended", 3, 2),
    ]
    opened = plane.secrets.open
    for name, config in configs.items():
        assert opened(config.ams.password_sealed, f"ams:{name}") == PASSWORD
        assert opened(config.signing_key.private_key_sealed, f"jws:{name}") == PRESENT
    assert (buffalo.scheme.versions, buffalo.signing_key.earlier) == (("1.1", "1.0"), [])
    assert buffalo.ilp_secrets_sealed == []  # of the signing key, as it was
    assert (lion.scheme.versions, lion.scheme.oauth is not None) == (("2.0",), True)
    oauth: Any = lion.scheme.oauth
    assert opened(oauth.client_secret_sealed, "scheme-oauth:lion") == "a secret"
    assert [opened(each, "ilp:lion") for each in lion.ilp_secrets_sealed] == ["an ILP secret"]
    [before] = lion.signing_key.earlier
    assert (before.public_key_pem, before.valid_until_ms) == (jws.public_pem(EARLIER), EARLIER_UNTIL_MS)
    shown = await plane.services(database).keys.all("lion")
    assert {(key.key_id, key.state, key.expires_at_ms) for key in shown} == {
        (key_id_of(jws.public_pem(PRESENT)), "current", None),
        (key_id_of(jws.public_pem(EARLIER)), "previous", EARLIER_UNTIL_MS),
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def they_get_keys_of_their_own(database: Database, plane: Plane, folder: Path) -> None:
    keys = plane.services(database).keys
    with pytest.raises(KeyDestroyedError):
        await keys.prepare("lion", PrepareKey(), "x")
    files: list[dict[str, bytes]] = []
    for _ in range(2):  # again, and in whichever copy of the process, they are the same keys
        await give_keys(database, plane.vault)
        files.append(contents(folder))
    assert files[0] == files[1]
    assert set(files[0]) == {"buffalo.key", "lion.key"}
    key = await keys.prepare("lion", PrepareKey(), "x")
    await keys.activate("lion", key.key_id, ActivateKey(overlap_ms=1_000), "x")
    lion = (await published(plane))["lion"]
    assert lion.signing_key.key_id == key.key_id
    assert [(each.public_key_pem, each.valid_until_ms) for each in lion.signing_key.earlier] == [
        (jws.public_pem(EARLIER), EARLIER_UNTIL_MS),
        (jws.public_pem(PRESENT), NOW_MS + 1_000),
    ]
    proof = await prove(database, plane.vault, "lion")
    assert proof.tried == len(proof.readable) == 6
