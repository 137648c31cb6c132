"""Who vouches for a channel's certificate: the tenant's own authorities, or else the installation's.

A certificate must be issued by an authority directly: what a client sends along leads nowhere. Authorities of
a tenant vouch for its own clients alone, whatever they write into a certificate.
"""

import datetime as dt
import logging
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from payhub_platform.clock import Clock
from payhub_platform.contracts.tenant import TenantConfig

_logger = logging.getLogger(__name__)

AUTHORITIES_KEPT_MAX: Final = 4096
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class Authorities:
    """Decides whether a certificate may stand for a client of a tenant.

    Args:
        installation: certificates, as PEM, of the authorities for tenants that have none of their own.
        clock: milliseconds since the Unix epoch.
    """

    def __init__(self, installation: str, clock: Clock) -> None:
        self._installation = read_authorities([installation]) if installation else []
        self._clock = clock
        self._of_tenants: dict[str, tuple[list[str], list[x509.Certificate]]] = {}

    def vouch(self, certificate: x509.Certificate, tenant: TenantConfig) -> bool | None:
        """Tell whether an authority vouches for a certificate; None where nobody is known who could."""
        known = self._own(tenant) if tenant.channel_authorities else self._installation
        if known or tenant.channel_authorities:
            return any(self._issued(certificate, authority) for authority in known)
        return None

    def is_valid_now(self, certificate: x509.Certificate) -> bool:
        """Tell whether a certificate's time has begun and is not over."""
        now = dt.datetime.fromtimestamp(self._clock() / 1000, dt.UTC)
        return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc

    def _own(self, tenant: TenantConfig) -> list[x509.Certificate]:
        pems = tenant.channel_authorities
        known = self._of_tenants.get(tenant.tenant_id)
        if known is None or known[0] is not pems:
            try:
                known = (pems, read_authorities(pems))
            except ValueError as error:
                # Then nobody vouches for its channels, and least of all somebody else.
                _logger.warning("authorities of %s: %s", tenant.tenant_id, error)
                known = (pems, [])
            self._of_tenants[tenant.tenant_id] = known
            if len(self._of_tenants) > AUTHORITIES_KEPT_MAX:
                del self._of_tenants[next(iter(self._of_tenants))]
        return known[1]

    def _issued(self, certificate: x509.Certificate, authority: x509.Certificate) -> bool:
        if not self.is_valid_now(certificate) or not self.is_valid_now(authority):
            return False
        try:
            certificate.verify_directly_issued_by(authority)
            algorithm = certificate.signature_hash_algorithm
        except (ValueError, TypeError, InvalidSignature):
            return False
        is_strong = algorithm is None or isinstance(algorithm, _HASHES)
        return is_strong and not is_authority(certificate) and _is_for_clients(certificate)


def read_authorities(pems: Iterable[str]) -> list[x509.Certificate]:
    """Read certificates of authorities.

    Raises:
        ValueError: a text holds no certificate, or one that is not an authority's.
    """
    found = [one for pem in pems for one in x509.load_pem_x509_certificates(pem.encode())]
    if not all(is_authority(one) for one in found):
        raise ValueError("a certificate is not an authority's")
    return found


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may issue others (RFC 5280 section 4.2.1.9)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def is_named(certificate: x509.Certificate, kind: str, expected: str) -> bool:
    """Tell whether a certificate has the name that a client is registered with (RFC 8705 section 2.1.2).

    Args:
        certificate: the client's.
        kind: ``subject_dn`` (RFC 4514), ``san_dns``, ``san_uri``, ``san_ip`` or ``san_email``.
        expected: the name.
    """
    if kind == "subject_dn":
        return certificate.subject == x509.Name.from_rfc4514_string(expected)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    if kind == "san_dns":
        return expected.lower() in (name.lower() for name in names.get_values_for_type(x509.DNSName))
    if kind == "san_ip":
        return ip_address(expected) in names.get_values_for_type(x509.IPAddress)
    of_type = x509.UniformResourceIdentifier if kind == "san_uri" else x509.RFC822Name
    return expected in names.get_values_for_type(of_type)


def check_tls_name(kind: str, name: str) -> None:
    """Check that a name can be one of its kind.

    Raises:
        ValueError: it cannot.
    """
    if kind == "subject_dn":
        x509.Name.from_rfc4514_string(name)
    if kind == "san_ip":
        ip_address(name)


def _is_for_clients(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate that says what it is for is for clients (RFC 5280 section 4.2.1.12)."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usages
