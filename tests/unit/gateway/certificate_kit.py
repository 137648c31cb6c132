"""Authorities and certificates of channels, at the time that tests stand still at."""

import base64
import datetime as dt
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc.jwk import ECKey, Key
from unit.gateway.gateway_kit import NOW_S

HOUR = dt.timedelta(hours=1)
NOW = dt.datetime.fromtimestamp(NOW_S, dt.UTC)
NAMES = x509.SubjectAlternativeName(
    [
        x509.DNSName("ussd.buffalo.example"),
        x509.UniformResourceIdentifier("urn:buffalo:ussd"),
        x509.IPAddress(ip_address("192.0.2.7")),
        x509.RFC822Name("ussd@buffalo.example"),
    ]
)


class Authority:
    """Issues certificates; of itself too, where ``issuer`` is None."""

    def __init__(
        self, name: str, *, is_authority: bool = True, issuer: "Authority | None" = None, until: Any = HOUR
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = named(name)
        signer = issuer or self
        made = builder(self.name, signer.name, self.key, until=until)
        made = made.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        self.certificate = made.sign(signer.key, hashes.SHA256())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(
        self,
        name: str = "ussd",
        *,
        since: dt.timedelta = HOUR,
        until: dt.timedelta = HOUR,
        usage: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
        is_authority: bool = False,
        key: ec.EllipticCurvePrivateKey | None = None,
        organization: str = "Buffalo",
    ) -> x509.Certificate:
        key = key or ec.generate_private_key(ec.SECP256R1())
        made = builder(named(name, organization), self.name, key, since=since, until=until).add_extension(
            NAMES, critical=False
        )
        if usage is not None:
            made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if is_authority:
            made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return made.sign(self.key, hashes.SHA256())


def named(name: str, organization: str = "Buffalo") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    since: dt.timedelta = HOUR,
    until: dt.timedelta = HOUR,
) -> x509.CertificateBuilder:
    made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    return made.not_valid_before(NOW - since).not_valid_after(NOW + until)


def self_signed(
    key: ec.EllipticCurvePrivateKey, name: str = "own", until: dt.timedelta = HOUR
) -> x509.Certificate:
    return builder(named(name), named(name), key, until=until).sign(key, hashes.SHA256())


def jwk_of(key: ec.EllipticCurvePrivateKey, *certificates: x509.Certificate) -> dict[str, Any]:
    """Write a public key with its certificates (RFC 7517 section 4.7)."""
    public: Key = ECKey.import_key(key.public_key())  # type: ignore[arg-type]
    x5c = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in certificates]
    return {**public.as_dict(private=False), **({"x5c": x5c} if x5c else {})}


def shown(certificate: x509.Certificate) -> str:
    """Write a certificate as a proxy passes it on."""
    return quote(certificate.public_bytes(Encoding.PEM).decode())
