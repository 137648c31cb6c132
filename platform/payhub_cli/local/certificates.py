"""The certificates by which the replicas of an engine know one another: one authority an installation."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from payhub_cli.local import files

AUTHORITY_DAYS: Final = 3650
REPLICA_DAYS: Final = 365
RENEW_DAYS: Final = 30  # what ends within this time is replaced at the start
CLOCK_SKEW: Final = timedelta(hours=1)
LOOPBACK: Final = ip_address("127.0.0.1")


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files of one replica."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def files_of(folder: Path, engine: str, replica: str) -> CertificateFiles:
    """Return where a replica's certificate is kept."""
    name = f"{engine}-{replica}"
    return CertificateFiles(folder / f"{name}.pem", folder / f"{name}.key", folder / "authority.pem")


def prepare(folder: Path, replicas: Iterable[tuple[str, str]], now: datetime | None = None) -> None:
    """Make what is missing in ``folder`` or ends soon. All of its replicas must be stopped.

    Args:
        folder: for certificates alone; made where it is missing.
        replicas: engine id and replica id of each.
        now: the time, UTC; None means the system's.
    """
    now = now or datetime.now(UTC)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _load(folder / "authority.pem", folder / "authority.key")
    if authority is None or _ends_within(authority.certificate, REPLICA_DAYS + RENEW_DAYS, now):
        authority = _new_authority(now)
        _keep(authority, folder / "authority.pem", folder / "authority.key")
    for engine, replica in replicas:
        kept = files_of(folder, engine, replica)
        pair = _load(kept.certificate, kept.key)
        if pair is None or _ends_within(pair.certificate, RENEW_DAYS, now) or not _signed(pair, authority):
            _keep(_new_replica(authority, engine, replica, now), kept.certificate, kept.key)


def _load(certificate: Path, key: Path) -> _Pair | None:
    """Read a certificate and its key; None where they are not there, or do not fit after a crash."""
    if not certificate.exists() or not key.exists():
        return None
    held = x509.load_pem_x509_certificate(certificate.read_bytes())
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or held.public_key() != private.public_key():
        return None
    return _Pair(held, private)


def _keep(pair: _Pair, certificate: Path, key: Path) -> None:
    text = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files.write_private(key, text)
    files.write_private(certificate, pair.certificate.public_bytes(serialization.Encoding.PEM))


def _ends_within(certificate: x509.Certificate, days: int, now: datetime) -> bool:
    return certificate.not_valid_after_utc < now + timedelta(days=days)


def _signed(pair: _Pair, authority: _Pair) -> bool:
    try:
        pair.certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _new_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("payhub replicas")
    builder = _builder(name, name, key, now, AUTHORITY_DAYS)
    usage = _usage(digital_signature=False, key_cert_sign=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return _Pair(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)


def _new_replica(authority: _Pair, engine: str, replica: str, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    names = [
        x509.UniformResourceIdentifier(f"payhub://{engine}/{replica}"),
        x509.DNSName("localhost"),
        x509.IPAddress(LOOPBACK),
    ]
    both_ways = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(_name(f"{engine} {replica}"), issuer.subject, key, now, REPLICA_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_cert_sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both_ways), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(signer, critical=False)
    )
    return _Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, digital_signature: bool, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
