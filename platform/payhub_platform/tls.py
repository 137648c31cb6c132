"""TLS that a service ends itself, and the certificate that its client showed."""

import ssl
from asyncio import BaseTransport
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


def shown_certificate(transport: BaseTransport) -> str | None:
    """Return the certificate, as PEM, that a connection's client showed and the TLS layer verified."""
    connection = transport.get_extra_info("ssl_object")
    shown = None if connection is None else connection.getpeercert(binary_form=True)
    return None if shown is None else ssl.DER_cert_to_PEM_cert(shown)
