"""TLS that a service ends itself, the certificate that its client showed, and TLS towards others."""

import ssl
import tempfile
from asyncio import BaseTransport
from pathlib import Path
from typing import Any, Final

import msgspec

# TLS 1.2 with these or TLS 1.3 (BCP 195, FAPI 2.0 section 5.2.2); Python allows nothing older than 1.2.
CIPHERS: Final = "ECDHE+AESGCM:DHE+AESGCM"


class Tls(msgspec.Struct, frozen=True):
    """PEM files of a service that ends TLS.

    Attributes:
        certificate: its own certificate, with those that lead to its authority.
        key: the private key.
        client_ca: authorities of clients' certificates; empty where clients show none. Showing one is the
            client's choice.
    """

    certificate: str
    key: str
    client_ca: str = ""

    def server_options(self) -> dict[str, Any]:
        """Return what uvicorn needs to know.

        Raises:
            OSError: a file cannot be read, or holds something else (``ssl.SSLError``).
        """
        # uvicorn would only fail later, with a traceback.
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trial.load_cert_chain(self.certificate, self.key)
        options = {
            "ssl_certfile": self.certificate,
            "ssl_keyfile": self.key,
            "ssl_ciphers": CIPHERS,
        }
        if not self.client_ca:
            return options
        trial.load_verify_locations(self.client_ca)
        return {**options, "ssl_ca_certs": self.client_ca, "ssl_cert_reqs": ssl.CERT_OPTIONAL}


def client_context(ca_pem: str = "", certificate_pem: str = "", private_key_pem: str = "") -> ssl.SSLContext:
    """Return how others are called: whom to trust instead of the public authorities, and who we are.

    Raises:
        ssl.SSLError, ValueError: certificate or key are not usable.
    """
    context = ssl.create_default_context(cadata=ca_pem or None)
    if certificate_pem:
        # OpenSSL reads them from files only; this one is for its owner only, and gone at once.
        with tempfile.TemporaryDirectory(prefix="payhub-") as folder:
            file = Path(folder) / "identity.pem"
            file.write_text(f"{certificate_pem}\n{private_key_pem}\n", encoding="ascii")
            context.load_cert_chain(file, password=_no_password)
    return context


def _no_password() -> str:
    raise ValueError("the private key is encrypted; keys are sealed by payhub itself")


def shown_certificate(transport: BaseTransport) -> str | None:
    """Return the certificate, as PEM, that a connection's client showed and the TLS layer verified."""
    connection = transport.get_extra_info("ssl_object")
    shown = None if connection is None else connection.getpeercert(binary_form=True)
    return None if shown is None else ssl.DER_cert_to_PEM_cert(shown)
