"""Keys that a client publishes itself (``jwks_uri``): when they are fetched, from where, and what if not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc.jwk import ECKey, Key
from unit.gateway.gateway_kit import StillClock
from unit.gateway.oauth2_kit import Client, House, assert_refused, house_of, running

from payhub_gateway.app import create_app
from payhub_gateway.oauth2.key_sets import (
    AGAIN_MS,
    FETCHES_MAX,
    FRESH_MS,
    KEPT_MS,
    HttpsKeyFetcher,
    KeyFetchError,
    KeySets,
    PublicResolver,
    check_key_address,
)
from payhub_platform.errors import UnavailableError

URI = "https://tpp.example.com/jwks"


class Published:
    """A client's key set as it is at its address now."""

    def __init__(self) -> None:
        self.keys: list[Key] = [ECKey.generate_key("P-256")]
        self.down = False
        self.asked: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    @property
    def told(self) -> dict[str, Any]:
        return {"keys": [{**key.as_dict(private=False), "kid": key.thumbprint()} for key in self.keys]}

    async def fetch(self, uri: str) -> bytes:
        self.asked.append(uri)
        await self.may_answer.wait()
        if self.down:
            raise KeyFetchError("down")
        return msgspec.json.encode(self.told)

    async def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
async def house(tmp_path: Path, published: Published) -> AsyncIterator[House]:
    async with house_of(tmp_path) as held:
        parts = msgspec.structs.replace(held.parts[0], key_fetcher=published)
        async with running(create_app(parts)) as http:
            held.copies[0] = http
            yield held


async def client_of(house: House, published: Published) -> Client:
    return await house.tpp(
        key=published.keys[0], jwks=None, jwks_uri=URI, grant_types=["client_credentials"], redirect_uris=[]
    )


async def test_a_client_signs_with_the_keys_at_its_address(house: House, published: Published):
    client = await client_of(house, published)
    assert client.registration["jwks_uri"] == URI
    for _ in range(3):
        assert (await client.token()).status_code == 200
    assert published.asked == [URI]
    assert (await client.push(scope="payments:read")).status_code == 400  # another grant, not another client
    stranger = Client(house, client.client_id, ECKey.generate_key("P-256"), client.http)
    assert_refused(await stranger.token(), "invalid_client")
    assert published.asked == [URI]


async def test_a_new_key_is_believed_once_it_is_published_and_an_old_one_no_more(
    house: House, published: Published
):
    client = await client_of(house, published)
    assert (await client.token()).status_code == 200
    new = ECKey.generate_key("P-256")
    renewed = Client(house, client.client_id, new, client.http)
    published.keys = [new]
    assert_refused(await renewed.token(), "invalid_client")
    house.clock.advance(FRESH_MS / 1000)
    assert (await renewed.token()).status_code == 200
    assert_refused(await client.token(), "invalid_client")


async def test_an_address_that_does_not_answer_is_asked_now_and_then(house: House, published: Published):
    published.down = True
    client = await client_of(house, published)
    for _ in range(3):
        answer = await client.token()
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert int(answer.headers["retry-after"]) == AGAIN_MS // 1000
    assert len(published.asked) == 1
    house.clock.advance(AGAIN_MS / 1000)
    published.down = False
    assert (await client.token()).status_code == 200


async def test_keys_outlive_an_address_for_a_day(house: House, published: Published):
    client = await client_of(house, published)
    assert (await client.token()).status_code == 200
    published.down = True
    house.clock.advance(KEPT_MS / 1000 - 1)
    assert (await client.token()).status_code == 200
    house.clock.advance(1)
    assert (await client.token()).status_code == 503


def kid_of(key: Key) -> str:
    return str(key.thumbprint())


async def test_a_key_that_is_not_there_is_looked_for_once_in_a_while():
    published, clock = Published(), StillClock()
    sets = KeySets(published, clock)
    assert [key.kid for key in await sets.keys(URI, kid_of(published.keys[0]))] == [kid_of(published.keys[0])]
    for number in range(5):
        await sets.keys(URI, f"forged-{number}")
    assert len(published.asked) == 1
    published.keys.append(ECKey.generate_key("P-256"))
    clock.advance(AGAIN_MS / 1000)
    assert len(await sets.keys(URI, kid_of(published.keys[1]))) == len(published.asked) == 2


async def test_what_is_no_key_set_is_none():
    published, clock = Published(), StillClock()
    for told in (
        b"",
        b"[]",
        b"{}",
        b'{"keys": 1}',
        b'{"keys": []}',
        b"[" * 5000,
        b'{"keys": [{"kty": "oct"}]}',
    ):

        async def fetch(_uri: str, told: bytes = told) -> bytes:
            return told

        published.fetch = fetch  # type: ignore[method-assign]
        with pytest.raises(UnavailableError, match="client-keys-unavailable"):
            await KeySets(published, clock).keys(URI, None)


async def test_many_who_want_the_same_wait_for_one_answer_and_others_are_bounded():
    published, clock = Published(), StillClock()
    sets = KeySets(published, clock)
    published.may_answer.clear()
    same = [asyncio.create_task(sets.keys(URI, None)) for _ in range(20)]
    others = [asyncio.create_task(sets.keys(f"{URI}/{number}", None)) for number in range(FETCHES_MAX - 1)]
    while len(published.asked) < FETCHES_MAX:
        await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="client-keys-unavailable"):
        await sets.keys(f"{URI}/one-more", None)
    same[0].cancel()  # who goes away takes nobody along
    published.may_answer.set()
    assert len(await asyncio.gather(*same[1:], *others)) == 19 + FETCHES_MAX - 1
    assert len(published.asked) == FETCHES_MAX
    assert await sets.keys(f"{URI}/one-more", None)


PRIVATE = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "fe80::1"]


@pytest.mark.parametrize(
    "uri",
    [
        "http://tpp.example.com/jwks",
        "https://user@tpp.example.com/jwks",
        "https://tpp.example.com/jwks#x",
        "https://tpp.example.com:x/jwks",
        "https://localhost/jwks",
        "https://metadata.google.internal/jwks",
        "file:///etc/passwd",
        "https:///jwks",
        *(f"https://[{address}]/" if ":" in address else f"https://{address}/" for address in PRIVATE),
    ],
)
async def test_an_address_that_must_not_be_asked_is_not(uri: str):
    with pytest.raises(ValueError, match=r"address|[Pp]ort"):
        check_key_address(uri)
    fetcher = HttpsKeyFetcher()
    with pytest.raises(KeyFetchError, match="ValueError"):
        await fetcher.fetch(uri)
    await fetcher.close()


async def test_such_an_address_is_not_registered_either(house: House, published: Published):
    key = published.keys[0]
    for metadata in (
        {"jwks": None, "jwks_uri": "https://169.254.169.254/latest"},
        {"jwks_uri": URI},  # and keys beside it
        {"jwks": None, "jwks_uri": URI, "token_endpoint_auth_method": "self_signed_tls_client_auth"},
    ):
        assert_refused(await house.register(key, **metadata), "invalid_client_metadata")
    assert published.asked == []


class Names:
    """A name service."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)

    async def addresses(self, host: str) -> list[str]:
        assert host
        return self._addresses


@pytest.mark.parametrize("private", PRIVATE)
async def test_a_name_with_one_private_address_has_none(private: str):
    for addresses in ([private], ["93.184.216.34", private]):
        with pytest.raises(OSError, match="private"):
            await PublicResolver(Names(*addresses)).resolve("tpp.example.com", 443)
    [found] = await PublicResolver(Names("93.184.216.34")).resolve("tpp.example.com", 443)
    assert (found["host"], found["port"]) == ("93.184.216.34", 443)
