"""Tenants' keys in Vault's Transit engine over HTTP, and in files: one promise, and the traps of each."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from msgspec.structs import replace
from support.transit_server import TransitServer
from unit.tenants.tenants_kit import TOKEN

from payhub_platform.errors import InvalidInputError
from payhub_platform.security.secrets import SealError, SecretBox
from payhub_tenants.key_providers import MovingKeyProvider, key_provider
from payhub_tenants.settings import Settings
from payhub_tenants.transit import KeyServiceUnavailableError, TransitKeyProvider, transit_session
from payhub_tenants.vault import FileKeyProvider, KeyDestroyedError, KeyProvider, Vault

INSTALLATION = SecretBox(SecretBox.new_key())
SETTINGS = Settings(
    port=1,
    database_url="",
    nats_url="",
    aggregator_token=TOKEN,
    secrets_key="",
    engines={},
)


class House:
    """A Transit server, and a provider that reaches it."""

    def __init__(self, server: TransitServer, provider: TransitKeyProvider, settings: Settings) -> None:
        self.server = server
        self.provider = provider
        self.settings = settings
        self.token_file = Path(settings.vault_token_file)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    server, token_file = TransitServer("a token"), tmp_path / "token"
    token_file.write_text("a token\n")
    async with TestServer(server.application()) as running, transit_session() as session:
        url = str(running.make_url(""))
        settings = replace(SETTINGS, vault_url=url, vault_token_file=str(token_file))
        yield House(server, TransitKeyProvider(session, url, token_file), settings)


@pytest.mark.parametrize("kind", ["files", "transit", "moving"])
async def test_every_provider_keeps_the_same_promise(house: House, tmp_path: Path, kind: str):
    files = FileKeyProvider(tmp_path / "keys", INSTALLATION)
    provider: KeyProvider = {
        "files": files,
        "transit": house.provider,
        "moving": MovingKeyProvider(house.provider, files),
    }[kind]
    vault = Vault(provider, INSTALLATION)
    for tenant in ("buffalo", "rhino", "buffalo"):
        await vault.create(tenant)  # repeated, it is the same key
    sealed = {tenant: await vault.seal(tenant, "a secret", "ams") for tenant in ("buffalo", "rhino")}
    await vault.create("buffalo")
    assert await vault.open("buffalo", sealed["buffalo"], "ams") == "a secret"
    assert sealed["buffalo"] != await vault.seal("buffalo", "a secret", "ams")
    for tenant, other, purpose in itertools.product(sealed, sealed, ("ams", "jws")):
        if (tenant, purpose) != (other, "ams"):
            with pytest.raises(SealError):
                await vault.open(tenant, sealed[other], purpose)
    for _ in range(2):
        await vault.destroy("buffalo")
    for attempt in (
        vault.open("buffalo", sealed["buffalo"], "ams"),
        vault.seal("buffalo", "another", "ams"),
        vault.create("buffalo"),
    ):
        with pytest.raises(KeyDestroyedError):
            await attempt
    assert not await vault.is_readable("buffalo", sealed["buffalo"], "ams")
    assert await vault.open("rhino", sealed["rhino"], "ams") == "a secret"
    assert "payhub-buffalo" not in house.server.keys


async def test_a_service_that_is_away_or_wrong_is_never_taken_for_a_destroyed_key(house: House):
    vault = Vault(house.provider, INSTALLATION)
    await vault.create("buffalo")
    sealed = await vault.seal("buffalo", "a secret", "ams")

    async def is_unavailable() -> str:
        for attempt in (
            vault.open("buffalo", sealed, "ams"),
            vault.seal("buffalo", "another", "ams"),
            vault.create("buffalo"),
            vault.is_readable("buffalo", sealed, "ams"),  # no proof of anything
        ):
            with pytest.raises(KeyServiceUnavailableError) as caught:
                await attempt
        return caught.value.detail

    house.server.is_sealed = True
    assert "503" in await is_unavailable()
    house.server.is_sealed = False
    house.token_file.write_text("another token")
    assert "check its token" in await is_unavailable()
    house.token_file.write_text("a token")
    assert await vault.open("buffalo", sealed, "ams") == "a secret"  # the file is read at each call
    house.server._prefix = "/v1/elsewhere/"
    assert "which is not expected" in await is_unavailable()
    house.server._prefix = "/v1/transit/"
    house.token_file.unlink()
    assert "does not answer" in await is_unavailable()


async def test_a_deletion_that_is_cut_off_anywhere_ends_when_it_is_repeated(house: House):
    vault = Vault(house.provider, INSTALLATION)
    calls: list[str] = []
    for number in range(1, 20):
        tenant = f"tenant-{number}"
        await vault.create(tenant)
        sealed = await vault.seal(tenant, "a secret", "ams")
        house.server.calls.clear()
        if number > 1:
            if number - 2 >= len(calls):
                break
            house.server.fails_at = calls[number - 2].replace("tenant-1", tenant)
            with pytest.raises(KeyServiceUnavailableError):
                await vault.destroy(tenant)
        house.server.fails_at = ""
        await vault.destroy(tenant)
        calls = calls or list(house.server.calls)
        assert not await vault.is_readable(tenant, sealed, "ams")
        with pytest.raises(KeyDestroyedError):
            await vault.create(tenant)
    assert calls[-2] == "DELETE keys/payhub-tenant-1"
    assert len(calls) >= 5


async def test_an_installation_moves_from_files_to_the_service(house: House, tmp_path: Path):
    folder = tmp_path / "keys"
    before = Vault(FileKeyProvider(folder, INSTALLATION), INSTALLATION)
    for tenant in ("buffalo", "gone"):
        await before.create(tenant)
    old = await before.seal("buffalo", "an old secret", "ams")
    await before.destroy("gone")
    async with key_provider(replace(house.settings, keys_folder=str(folder)), INSTALLATION) as moving:
        after = Vault(moving, INSTALLATION)
        assert await after.open("buffalo", old, "ams") == "an old secret"
        new = await after.seal("buffalo", "a new secret", "ams")
        assert ".vault:v1:" in new
        for attempt in (after.create("gone"), after.seal("gone", "x", "ams")):
            with pytest.raises(KeyDestroyedError):
                await attempt
        await after.destroy("buffalo")
        assert [await after.is_readable("buffalo", each, "ams") for each in (old, new)] == [False, False]


async def test_settings_that_name_no_keys_are_told(house: House, tmp_path: Path):
    for settings in (SETTINGS, replace(house.settings, vault_token_file=str(tmp_path / "absent"))):
        with pytest.raises(InvalidInputError, match="PAYHUB_VAULT"):
            async with key_provider(settings, INSTALLATION):
                pass
    async with key_provider(replace(SETTINGS, keys_folder=str(tmp_path)), INSTALLATION) as files:
        assert isinstance(files, FileKeyProvider)
