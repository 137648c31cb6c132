"""Signing keys and channels' certificates. Pure, but for the randomness of keys."""

import datetime as dt
from typing import Annotated, Final, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Meta, Struct

from payhub_platform.contracts.tenant import VerificationKey
from payhub_platform.errors import InvalidInputError
from payhub_platform.security import jws
from payhub_tenants.fields import Body, ClientId, Pem, View
from payhub_tenants.keys.errors import UnsuitableRequestError
from payhub_tenants.keys.pem import checked_private_key, key_id_of

DAY_MS: Final = 24 * 60 * 60 * 1000
KEY_VALIDITY_MS: Final = 365 * DAY_MS
OVERLAP_MS: Final = 7 * DAY_MS  # how long peers accept the key before: messages under way bear it
OVERLAP_MS_MAX: Final = 30 * DAY_MS
EARLIER_KEYS_MAX: Final = 8  # so many are published; peers forget the oldest of more
CERTIFICATE_DAYS: Final = 90
AUTHORITY_DAYS: Final = 3650
CERTIFICATES_MAX: Final = 200
AUTHORITY_DOCUMENT: Final = "authority"

KeyState = Literal["next", "current", "previous"]


class SigningKeyRow(Struct, frozen=True, kw_only=True):
    """A signing key as it is kept; the private half is sealed."""

    tenant_id: str
    key_id: str
    state: KeyState
    public_key_pem: str
    private_key_sealed: str
    created_at_ms: int
    expires_at_ms: int | None


class KeyView(View, frozen=True, kw_only=True):
    """A signing key as it is shown."""

    key_id: str
    state: KeyState
    public_key_pem: str
    created_at_ms: int
    expires_at_ms: int | None = None
    expired: bool = False


class PrepareKey(Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/tenants/{id}/keys``: a key of one's own, or the algorithm of one that is made."""

    algorithm: jws.Algorithm | None = None  # ES256 where nothing is said
    signing_key_pem: Pem | None = None


class ActivateKey(Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/tenants/{id}/keys/{keyId}/activate``: how long the key before is believed."""

    overlap_ms: Annotated[int, Meta(ge=0, le=OVERLAP_MS_MAX)] = OVERLAP_MS


class RequestCertificate(Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/tenants/{id}/certificates``: a PKCS #10 request for a channel (RFC 2986)."""

    client_id: ClientId
    csr_pem: Pem
    days: Annotated[int, Meta(ge=1, le=CERTIFICATE_DAYS)] = CERTIFICATE_DAYS


class Certificate(Struct, frozen=True, kw_only=True):
    """A certificate as it is kept."""

    tenant_id: str
    serial: str
    subject: str
    certificate_pem: str
    expires_at_ms: int


class CertificateView(View, frozen=True, kw_only=True):
    """A certificate as it is shown, with the chain that checks it."""

    serial: str
    subject: str
    certificate_pem: str
    authority_pem: str
    expires_at_ms: int
    expired: bool = False


class Authority(Struct, frozen=True, kw_only=True):
    """The institution's own certificate authority: who holds its certificates is its channel."""

    certificate_pem: str
    private_key_sealed: str


def key_view(key: SigningKeyRow, now_ms: int) -> KeyView:
    """Return a key as it is shown."""
    return KeyView(
        key_id=key.key_id,
        state=key.state,
        public_key_pem=key.public_key_pem,
        created_at_ms=key.created_at_ms,
        expires_at_ms=key.expires_at_ms,
        expired=key.expires_at_ms is not None and key.expires_at_ms <= now_ms,
    )


def asked_for(request: PrepareKey) -> str:
    """Return the private key, as PEM, that a request brings or has made.

    Raises:
        InvalidInputError: ``unsuitable-key``; ``invalid-field`` where the key is not of the algorithm.
    """
    if request.signing_key_pem is None:
        return jws.new_private_key_pem(request.algorithm or "ES256")
    private_pem = checked_private_key(request.signing_key_pem, "/signingKeyPem")
    algorithm = jws.algorithm_of(jws.load_private_key(private_pem))
    if request.algorithm not in (None, algorithm):
        raise InvalidInputError("invalid-field", f"The key is one for {algorithm}.", "/algorithm")
    return private_pem


def is_asked_for(waiting: SigningKeyRow, request: PrepareKey) -> bool:
    """Tell whether the key that waits is the one that a request wants."""
    if request.signing_key_pem is not None:
        return waiting.key_id == key_id_of(jws.public_pem(asked_for(request)))
    algorithm = jws.algorithm_of(jws.load_public_key(waiting.public_key_pem))
    return request.algorithm in (None, algorithm)


def earlier_keys(held: list[SigningKeyRow], fsp_id: str, now_ms: int) -> list[VerificationKey]:
    """Return the previous keys that are still believed, as they are published, the newest first."""
    believed = [(key.expires_at_ms, key) for key in held if key.state == "previous" and key.expires_at_ms]
    believed.sort(key=lambda pair: pair[0], reverse=True)
    return [
        VerificationKey(fsp_id=fsp_id, public_key_pem=key.public_key_pem, valid_until_ms=ends)
        for ends, key in believed[:EARLIER_KEYS_MAX]
        if ends > now_ms
    ]


def new_authority(tenant_id: str, now_ms: int) -> tuple[str, str]:
    """Make a certificate authority; return its certificate and its private key as PEM."""
    private_pem = jws.new_private_key_pem()
    key = jws.load_private_key(private_pem)
    name = _name(tenant_id, "payhub channels")
    begins = _time(now_ms)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - dt.timedelta(minutes=5))
        .not_valid_after(begins + dt.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private_pem


def issue(
    request: RequestCertificate, tenant_id: str, authority_pem: str, private_pem: str, now_ms: int
) -> tuple[str, str, int]:
    """Answer a request with a certificate: its serial number, its PEM, and when it expires.

    Only the key is taken from the request. Names and uses are ours to say: tenant and client, mutual TLS.

    Raises:
        UnsuitableRequestError: no request, not signed by its own key, or a key of another kind.
    """
    public_key = _proven_key(request.csr_pem)
    authority = x509.load_pem_x509_certificate(authority_pem.encode())
    begins, serial = _time(now_ms), x509.random_serial_number()
    ends = begins + dt.timedelta(days=request.days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(tenant_id, request.client_id))
        .issuer_name(authority.subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(begins - dt.timedelta(minutes=5))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(jws.load_private_key(private_pem), hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return f"{serial:x}", pem, int(ends.timestamp() * 1000)


def _proven_key(csr_pem: str) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        is_proven = csr.is_signature_valid
        key = csr.public_key()
        pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        checked = jws.load_public_key(pem.decode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnsuitableRequestError("This is no certificate signing request in PEM form.") from error
    except InvalidInputError as error:
        raise UnsuitableRequestError(error.detail) from error
    if not is_proven:
        raise UnsuitableRequestError("The request is not signed by its own key.")
    return checked


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(tenant_id: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, tenant_id),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _time(at_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC)
