"""Token signing keys: made once, for their owner's eyes only, and followed by the next with overlap."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from unit.gateway.gateway_kit import StillClock
from unit.gateway.oauth2_kit import house_of

from payhub_gateway.oauth2.errors import SigningKeyError
from payhub_gateway.oauth2.signing_keys import KEEP_AFTER_S, PUBLISH_BEFORE_S, ROTATE_EVERY_S, SigningKeys


def kids(keys: SigningKeys) -> list[str]:
    return [str(signer.jwk["kid"]) for signer in keys.signers()]


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path):
    path = tmp_path / "new" / "keys.json"
    made = SigningKeys(path, StillClock())
    again = SigningKeys(path, StillClock())
    assert made.signing().thumbprint() == again.signing().thumbprint() == again.signing().kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]
    assert not [signer for signer in made.signers() if "d" in signer.jwk]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path):
    path = tmp_path / "keys.json"
    SigningKeys(path, StillClock())
    path.chmod(0o640)
    with pytest.raises(SigningKeyError, match="signing-key-exposed"):
        SigningKeys(path, StillClock())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"keys":[]}',
        b'{"keys":[{"jwk":{"kty":"EC"},"signs_from_ms":0}]}',
        b'{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}',
        json.dumps(ECKey.generate_key("P-256").as_dict(private=False)).encode(),
        json.dumps(ECKey.generate_key("P-384").as_dict(private=True)).encode(),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SigningKeyError, match="signing-key-damaged"):
        SigningKeys(path, StillClock())


def test_the_file_of_the_first_release_is_read(tmp_path: Path):
    path = tmp_path / "keys.json"
    key = ECKey.generate_key("P-256", auto_kid=True)
    path.write_text(json.dumps(key.as_dict(private=True)))
    path.chmod(0o600)
    assert SigningKeys(path, StillClock()).signing().kid == key.thumbprint()


def test_each_key_is_published_before_it_signs_and_until_its_tokens_are_over(tmp_path: Path):
    clock = StillClock()
    keys = SigningKeys(tmp_path / "keys.json", clock)
    first = keys.signing().kid
    clock.advance(ROTATE_EVERY_S - PUBLISH_BEFORE_S - 1)
    keys.tend()
    assert kids(keys) == [first]
    clock.advance(1)
    keys.tend()
    assert len(kids(keys)) == 2
    assert keys.signing().kid == first
    clock.advance(PUBLISH_BEFORE_S - 1)
    keys.tend()
    assert keys.signing().kid == first
    clock.advance(1)
    keys.tend()
    second = keys.signing().kid
    assert second != first
    assert kids(keys) == [first, second]
    clock.advance(KEEP_AFTER_S - 1)
    keys.tend()
    assert kids(keys) == [first, second]
    clock.advance(1)
    keys.tend()
    assert kids(keys) == [second]
    assert SigningKeys(tmp_path / "keys.json", clock).signing().kid == second


def test_a_clock_that_jumps_leaves_a_key_that_signs(tmp_path: Path):
    clock = StillClock()
    keys = SigningKeys(tmp_path / "keys.json", clock)
    for jump_s in (10 * ROTATE_EVERY_S, -20 * ROTATE_EVERY_S, 40 * ROTATE_EVERY_S):
        clock.advance(jump_s)
        keys.tend()
        assert keys.signing().kid in kids(keys)
        assert len(kids(keys)) <= 3


def test_workers_that_share_a_file_follow_with_the_same_key(tmp_path: Path):
    clock, path = StillClock(), tmp_path / "keys.json"
    workers = [SigningKeys(path, clock) for _ in range(3)]
    clock.advance(ROTATE_EVERY_S - PUBLISH_BEFORE_S)
    for keys in workers:
        keys.tend()
    assert len(kids(workers[0])) == 2
    assert [kids(keys) for keys in workers] == [kids(workers[0])] * 3
    clock.advance(PUBLISH_BEFORE_S + KEEP_AFTER_S)
    for keys in workers:
        keys.tend()
    assert len({keys.signing().kid for keys in [*workers, SigningKeys(path, clock)]}) == 1


@pytest.mark.parametrize("content", [None, b"{}"])
def test_keys_in_memory_outlive_their_file(tmp_path: Path, content: bytes | None):
    clock, path = StillClock(), tmp_path / "keys.json"
    keys = SigningKeys(path, clock)
    first = keys.signing().kid
    path.unlink() if content is None else path.write_bytes(content)
    clock.advance(ROTATE_EVERY_S - PUBLISH_BEFORE_S)
    keys.tend()
    assert kids(keys)[0] == first
    assert kids(SigningKeys(path, clock)) == kids(keys)


def test_keys_asked_for_twice_in_a_moment_lose_none(tmp_path: Path):
    clock = StillClock()
    keys = SigningKeys(tmp_path / "keys.json", clock)
    first = keys.signing().kid
    keys.rotate()
    keys.rotate()
    clock.advance(PUBLISH_BEFORE_S)
    keys.tend()
    assert first in kids(keys)
    assert len(kids(keys)) == 3


async def test_tokens_of_the_last_key_are_good_after_the_next_signs(tmp_path: Path):
    async with house_of(tmp_path) as house:
        client = house.client("buffalo-admin")
        house.parts[0].signing_keys.rotate()
        house.clock.advance(PUBLISH_BEFORE_S - 1)
        old = (await client.token()).json()["access_token"]
        published: list[dict[str, Any]] = (await client.http.get("/oauth2/jwks")).json()["keys"]
        house.clock.advance(1)
        new = (await client.token()).json()["access_token"]
        for token in (old, new):
            assert (await client.pay(token)).status_code == 202
        assert len(published) == 2  # before the second one signed
