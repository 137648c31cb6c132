"""The certificate that a client showed in TLS: from the server itself, or from a proxy that ends TLS."""

import base64
import hashlib
from collections import OrderedDict
from ipaddress import ip_address, ip_network
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from litestar.datastructures import Headers
from litestar.types import Scope

from payhub_gateway.oauth2.errors import InvalidCertificateError
from payhub_gateway.oauth2.signatures import base64url

CERTIFICATES_KEPT_MAX: Final = 4096
CERTIFICATE_CHARS_MAX: Final = 16 * 1024


class Shown(msgspec.Struct, frozen=True):
    """A certificate that a client showed, with its thumbprint (``x5t#S256``)."""

    certificate: x509.Certificate
    thumbprint: str


class Certificates:
    """Finds the thumbprint (``x5t#S256``, RFC 8705 section 3.1) of a request's client certificate.

    Args:
        header: the header in which proxies pass the certificate on; empty where none does.
        proxies: networks (``10.0.0.0/8``) of the proxies whose header is believed; they must remove what
            clients send under that name.
    """

    def __init__(self, header: str = "", proxies: list[str] | None = None) -> None:
        self._header = header.lower()
        self._proxies = [ip_network(network) for network in proxies or []]
        self._thumbprints: OrderedDict[str, str] = OrderedDict()

    def thumbprint(self, scope: Scope) -> str | None:
        """Return the thumbprint, or None where the client showed no certificate.

        Raises:
            InvalidCertificateError: a proxy passed something else on.
        """
        text = self._shown(scope)
        if text is None:
            return None
        known = self._thumbprints.get(text)
        if known is None:
            der = _read(text).public_bytes(Encoding.DER)
            known = base64url(hashlib.sha256(der).digest())
            self._thumbprints[text] = known
            if len(self._thumbprints) > CERTIFICATES_KEPT_MAX:
                self._thumbprints.popitem(last=False)
        return known

    def shown(self, scope: Scope) -> Shown | None:
        """Return the certificate itself, for who must look into it; errors as for ``thumbprint``."""
        text = self._shown(scope)
        if text is None:
            return None
        certificate = _read(text)
        der = certificate.public_bytes(Encoding.DER)
        return Shown(certificate, base64url(hashlib.sha256(der).digest()))

    def _shown(self, scope: Scope) -> str | None:
        extensions: Any = scope.get("extensions") or {}
        chain = extensions.get("tls", {}).get("client_cert_chain")
        if chain:
            return str(next(iter(chain)))
        if not self._header or not self._trusted(scope.get("client")):
            return None
        sent = Headers.from_scope(scope).getall(self._header, [])
        if len(sent) > 1 or any(len(text) > CERTIFICATE_CHARS_MAX for text in sent):
            raise InvalidCertificateError
        return sent[0] if sent and sent[0] else None

    def _trusted(self, client: tuple[str, int] | None) -> bool:
        try:
            address = ip_address(client[0]) if client else None
        except ValueError:  # no address of IP, such as a test's
            return False
        return address is not None and any(address in network for network in self._proxies)


def _read(text: str) -> x509.Certificate:
    """Read RFC 9440's ``:base64:``, or PEM, which nginx percent-encodes (``$ssl_client_escaped_cert``)."""
    try:
        if text.startswith(":") and text.endswith(":"):
            return x509.load_der_x509_certificate(base64.b64decode(text[1:-1], validate=True))
        plain = unquote(text) if "%" in text else text
        return x509.load_pem_x509_certificate(plain.encode())
    except ValueError as error:
        raise InvalidCertificateError from error
