"""Certificates of replicas: made once, for one replica each, renewed in time, private."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from payhub_cli.local.certificates import AUTHORITY_DAYS, RENEW_DAYS, REPLICA_DAYS, files_of, prepare

MEMBERS = [("north", "1"), ("north", "2"), ("south", "1")]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(folder: Path, engine: str, replica: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files_of(folder, engine, replica).certificate.read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_replica_has_a_certificate_for_itself_alone(tmp_path: Path):
    folder = tmp_path / "certificates"
    prepare(folder, MEMBERS, NOW)
    for engine, replica in MEMBERS:
        names = certificate(folder, engine, replica).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
        assert uris == [f"payhub://{engine}/{replica}"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_replicas_speak_tls_with_one_another_and_with_nobody_else(tmp_path: Path):
    prepare(tmp_path / "ours", MEMBERS)
    prepare(tmp_path / "theirs", MEMBERS)
    assert shake_hands(tmp_path / "ours", tmp_path / "ours") == ("payhub://north/2", "payhub://north/1")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path / "ours", tmp_path / "theirs")


def test_what_is_there_stays_and_what_is_missing_is_made(tmp_path: Path):
    prepare(tmp_path, MEMBERS, NOW)
    before = contents(tmp_path)
    prepare(tmp_path, [*MEMBERS, ("south", "2")], NOW + timedelta(days=1))
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"south-2.pem", "south-2.key"}


def test_a_certificate_is_renewed_before_it_ends(tmp_path: Path):
    prepare(tmp_path, MEMBERS, NOW)
    before = contents(tmp_path)
    prepare(tmp_path, MEMBERS, NOW + timedelta(days=REPLICA_DAYS - RENEW_DAYS + 1))
    after = contents(tmp_path)
    assert after["authority.pem"] == before["authority.pem"]
    assert after["north-1.pem"] != before["north-1.pem"]


def test_an_authority_that_ends_is_replaced_with_all_that_it_signed(tmp_path: Path):
    prepare(tmp_path, MEMBERS, NOW)
    before = contents(tmp_path)
    prepare(tmp_path, MEMBERS, NOW + timedelta(days=AUTHORITY_DAYS - REPLICA_DAYS))
    after = contents(tmp_path)
    assert all(after[name] != before[name] for name in before)


def test_a_key_without_its_certificate_is_replaced(tmp_path: Path):
    prepare(tmp_path, MEMBERS, NOW)
    one, other = files_of(tmp_path, "north", "1"), files_of(tmp_path, "north", "2")
    one.key.write_bytes(other.key.read_bytes())
    prepare(tmp_path, MEMBERS, NOW)
    assert one.key.read_bytes() != other.key.read_bytes()
    assert (
        certificate(tmp_path, "north", "1").public_key() != certificate(tmp_path, "north", "2").public_key()
    )


def shake_hands(server: Path, client: Path) -> tuple[str, str]:
    """Do the TLS 1.3 handshake of replicas 1 and 2 in memory; return whom each one sees."""
    contexts = []
    for folder, replica, purpose in (
        (server, "1", ssl.Purpose.CLIENT_AUTH),
        (client, "2", ssl.Purpose.SERVER_AUTH),
    ):
        kept = files_of(folder, "north", replica)
        context = ssl.create_default_context(purpose, cafile=str(kept.authority))
        context.load_cert_chain(kept.certificate, kept.key)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.verify_mode = ssl.CERT_REQUIRED
        contexts.append(context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = contexts[0].wrap_bio(to_server, to_client, server_side=True)
    two = contexts[1].wrap_bio(to_client, to_server, server_hostname="localhost")
    open_sides = [two, one]
    for _ in range(10):
        for side in list(open_sides):
            try:
                side.do_handshake()
                open_sides.remove(side)
            except ssl.SSLWantReadError:
                continue
    assert open_sides == []
    return uri_of(one), uri_of(two)


def uri_of(side: ssl.SSLObject) -> str:
    peer = side.getpeercert()
    assert peer is not None
    return next(str(value) for kind, value in peer["subjectAltName"] if kind == "URI")  # type: ignore[misc]
