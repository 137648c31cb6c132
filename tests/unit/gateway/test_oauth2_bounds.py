"""What the gateway remembers is bounded, and nobody but its owners fills it: proofs, requests, clients."""

import pytest
from joserfc.jwk import ECKey
from unit.gateway.gateway_kit import ISSUER, StillClock
from unit.gateway.oauth2_kit import assert_refused, house_of, signed

from payhub_gateway.oauth2.dpop import HOLD_MS, Nonces, Proof, Proofs
from payhub_gateway.oauth2.errors import InvalidProofError
from payhub_platform.errors import UnavailableError


async def test_one_client_cannot_push_requests_without_end(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("payhub_gateway.oauth2.authorization.PUSHED_PER_CLIENT_MAX", 2)
    async with house_of(tmp_path) as house:
        busy, other = await house.tpp(), await house.tpp()
        for _ in range(2):
            assert (await busy.push()).status_code == 201
        answer = await busy.push()
        assert_refused(answer, "temporarily_unavailable", 503)
        assert int(answer.headers["retry-after"]) > 0
        assert (await other.push()).status_code == 201
        house.clock.advance(300)
        assert (await busy.push()).status_code == 201


async def test_one_tenant_cannot_register_clients_without_end(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("payhub_gateway.oauth2.registration.CLIENTS_PER_TENANT_MAX", 2)
    async with house_of(tmp_path) as house:
        for _ in range(2):
            await house.tpp()
        assert_refused(await house.register(ECKey.generate_key("P-256")), "invalid_client_metadata")
        await house.tpp("lion")


async def test_proofs_of_strangers_are_not_remembered(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("payhub_gateway.oauth2.dpop.REPLAYS_MAX", 2)
    async with house_of(tmp_path) as house:
        client = house.client("buffalo-admin")
        token = (await client.token()).json()["access_token"]
        for _ in range(3):
            thief = {
                "DPoP": client.proof("POST", "/channel/transfer", token, key=ECKey.generate_key("P-256"))
            }
            assert (await client.pay(token, **thief)).status_code == 401
            nobody = {"client_assertion": "", "client_assertion_type": ""}
            assert (await client.token(**nobody)).status_code == 400
        assert (await client.pay(token)).status_code == 202
        # The memory is full of the client's own: new ones wait, none is forgotten early.
        answer = await client.pay(token)
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        house.clock.advance(HOLD_MS / 1000)
        token = (await client.token()).json()["access_token"]
        assert (await client.pay(token)).status_code == 202


def test_a_proof_is_used_once_until_it_is_too_old_anyway():
    clock = StillClock()
    proofs = Proofs(clock)
    proofs.use(Proof("key", "1"))
    proofs.use(Proof("other", "1"))
    clock.advance(HOLD_MS / 1000 - 1)
    with pytest.raises(InvalidProofError):
        proofs.use(Proof("key", "1"))


def test_one_key_cannot_use_up_the_room_of_all(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("payhub_gateway.oauth2.dpop.REPLAYS_PER_KEY_MAX", 2)
    proofs = Proofs(StillClock())
    for jti in ("1", "2"):
        proofs.use(Proof("busy", jti))
    with pytest.raises(UnavailableError):
        proofs.use(Proof("busy", "3"))
    proofs.use(Proof("other", "1"))


def test_known_keys_are_bounded_and_forgotten_ones_are_read_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("payhub_gateway.oauth2.dpop.KEYS_KEPT_MAX", 2)
    clock = StillClock()
    proofs = Proofs(clock)
    keys = [ECKey.generate_key("P-256") for _ in range(4)]
    for round_ in range(2):
        for number, key in enumerate(keys):
            header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
            said = {"jti": f"{round_}-{number}", "htm": "GET", "htu": ISSUER, "iat": clock() // 1000}
            proof = proofs.verify([signed(header, said, key)], "GET", ISSUER)
            assert proof.thumbprint == key.thumbprint()
        assert len(proofs._keys) == 2


def test_a_nonce_is_one_process_own():
    clock = StillClock()
    one, other = Nonces(clock), Nonces(clock)
    assert one.fits(one.current())
    for foreign in (other.current(), "", "x", "é"):
        assert not one.fits(foreign)
