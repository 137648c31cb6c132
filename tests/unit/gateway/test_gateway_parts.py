import ssl
from pathlib import Path

import msgspec
import pytest
from unit.gateway.certificate_kit import Authority
from unit.gateway.gateway_kit import tenant_config, transfer

from payhub_gateway.channel import checks
from payhub_gateway.channel_trust import ChannelTrust
from payhub_gateway.limits import InFlight, TooManyRequestsError
from payhub_gateway.oauth2.replay import HOLD_MS, ReplayStore
from payhub_gateway.settings import GatewaySettings
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.contracts.channel import TransferRequest
from payhub_platform.contracts.tenant import ApiLimits
from payhub_platform.errors import InvalidInputError, UnavailableError
from payhub_platform.settings import load

ENVIRONMENT = {
    "PAYHUB_PORT": "8080",
    "PAYHUB_DATA_DIR": "/data",
    "PAYHUB_NATS_URL": "nats://127.0.0.1:4222",
    "PAYHUB_INTERNAL_TOKEN": "t",
    "PAYHUB_ENGINES": '{"north": "http://127.0.0.1:1"}',
}


def request_of(body: bytes) -> TransferRequest:
    return msgspec.json.decode(body, type=TransferRequest)


def test_the_order_of_keys_does_not_matter_to_the_fingerprint():
    body = transfer()
    turned = {name: dict(reversed(value.items())) for name, value in reversed(body.items())}
    assert msgspec.json.encode(body) != msgspec.json.encode(turned)
    one, other = request_of(msgspec.json.encode(body)), request_of(msgspec.json.encode(turned))
    assert checks.fingerprint(one) == checks.fingerprint(other)
    assert len(checks.fingerprint(one)) == 64


def test_defaults_said_and_unsaid_are_one_request():
    one = request_of(msgspec.json.encode(transfer()))
    other = request_of(msgspec.json.encode(transfer(amountType="SEND", note=None)))
    assert checks.fingerprint(one) == checks.fingerprint(other)


@pytest.mark.parametrize(
    "changes", [{"note": "x"}, {"amountType": "RECEIVE"}, {"amount": {"amount": "10.51", "currency": "KES"}}]
)
def test_another_request_has_another_fingerprint(changes: dict[str, object]):
    one = request_of(msgspec.json.encode(transfer()))
    other = request_of(msgspec.json.encode(transfer(**changes)))
    assert checks.fingerprint(one) != checks.fingerprint(other)


def test_replays_are_forgotten_when_they_can_do_no_harm():
    store = ReplayStore()
    assert store.use("c", "1", 0)
    assert not store.use("c", "1", HOLD_MS - 1)
    assert store.use("other", "1", HOLD_MS - 1)
    assert store.use("c", "1", HOLD_MS)


def test_a_full_replay_store_refuses_rather_than_forgets():
    store = ReplayStore(per_client_max=2, total_max=3)
    for jti in ("1", "2"):
        assert store.use("a", jti, 0)
    with pytest.raises(UnavailableError, match="overloaded"):
        store.use("a", "3", 0)
    assert store.use("b", "1", 0)
    with pytest.raises(UnavailableError, match="overloaded"):
        store.use("b", "2", 0)
    assert not store.use("a", "1", 0)
    assert store.use("a", "3", HOLD_MS)


def test_slots_are_given_back_after_a_failure():
    slots = InFlight(per_client_max=1, total_max=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), slots.slot("t", "c"):
            raise ValueError("x")


def test_a_tenants_own_number_of_requests_at_work_goes_first_and_copies_divide_it():
    slots = InFlight(per_client_max=1, total_max=10, copies=lambda: 2)
    own = ApiLimits(rate_per_s=1, burst=1, quota_per_day=1, in_flight_max=4)
    silent = msgspec.structs.replace(own, in_flight_max=None)
    assert (slots.most_of(own), slots.most_of(silent), slots.most_of(None)) == (4, 1, 1)
    with slots.slot("t", "c", own), slots.slot("t", "c", own):
        with pytest.raises(TooManyRequestsError, match="At most 4"), slots.slot("t", "c", own):
            pass
        with slots.slot("t", "other", silent), pytest.raises(TooManyRequestsError), slots.slot("t", "other"):
            pass
    with slots.slot("t", "c"):
        pass


def test_settings_come_from_the_environment():
    settings = load(GatewaySettings, ENVIRONMENT)
    assert settings.engines == {"north": "http://127.0.0.1:1"}
    assert settings.issuer_url() == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "changes",
    [{"PAYHUB_PORT": "0"}, {"PAYHUB_PORT": "x"}, {"PAYHUB_ENGINES": "{}"}, {"PAYHUB_INTERNAL_TOKEN": ""}],
)
def test_wrong_settings_are_refused(changes: dict[str, str]):
    with pytest.raises(InvalidInputError, match="invalid-settings"):
        load(GatewaySettings, {**ENVIRONMENT, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"PAYHUB_BEARER_TOKENS": "true", "PAYHUB_ISSUER": "https://pay.example"},
        {"PAYHUB_TRUSTED_PROXIES": '["10.0.0.0/99"]'},
    ],
)
def test_options_that_are_not_safe_are_refused(changes: dict[str, str]):
    settings = load(GatewaySettings, {**ENVIRONMENT, **changes})
    with pytest.raises(InvalidInputError, match="invalid-settings"):
        settings.oauth2_options()


@pytest.mark.parametrize(
    "changes",
    [
        {"PAYHUB_HOST": "0.0.0.0"},
        {"PAYHUB_ISSUER": "http://pay.example"},
        {"PAYHUB_ISSUER": "https://pay.example/"},
        {"PAYHUB_ISSUER": "pay.example"},
    ],
)
def test_an_issuer_that_is_not_secure_is_refused(changes: dict[str, str]):
    settings = load(GatewaySettings, {**ENVIRONMENT, **changes})
    with pytest.raises(InvalidInputError, match="invalid-settings"):
        settings.issuer_url()


def test_tls_asks_for_certificates_once_a_tenant_has_an_authority(tmp_path: Path):
    directory, context = TenantDirectory(tmp_path / "tenants.cache"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust = ChannelTrust(directory)
    trust.look(context)
    assert (context.verify_mode, context.get_ca_certs()) == (ssl.CERT_NONE, [])
    directory.put(tenant_config("buffalo", [], channel_authorities=["unreadable", Authority("a").pem]))
    directory.put(tenant_config("lion", [], channel_authorities=[Authority("b").pem]))
    for _ in range(2):
        trust.look(context)
        assert (context.verify_mode, len(context.get_ca_certs())) == (ssl.CERT_OPTIONAL, 2)
