"""TLS contexts for banks with an authority of their own, or that ask who is calling."""

import ssl
import tempfile
from pathlib import Path
from typing import Final

from payhub_engines.connectors.ams.expiring import ExpiringCache
from payhub_engines.connectors.ams.model import BankCall
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.contracts.tenant import AmsTls

CONTEXTS_MAX: Final = 1_000
CONTEXT_KEPT_MS: Final = 24 * 3600 * 1000
UNUSABLE_RETRY_MS: Final = 60_000


class TlsContexts:
    """One context for each tenant's settings: connections are shared by context."""

    def __init__(self) -> None:
        self._contexts = ExpiringCache[tuple[str, AmsTls], ssl.SSLContext](CONTEXTS_MAX, CONTEXT_KEPT_MS)

    def of(self, call: BankCall) -> ssl.SSLContext | None:
        """Return the context of a tenant; None where the public authorities do.

        Raises:
            JobFailedError: certificate or key are not usable, which only the tenant's settings mend.
        """
        tls = call.connection.tls
        if tls is None:
            return None
        key, now_ms = (call.tenant_id, tls), call.context.clock()
        known = self._contexts.get(key, now_ms)
        if known is None:
            private_key = ""
            if tls.private_key_sealed:
                private_key = call.context.secrets.open(tls.private_key_sealed, f"ams-tls:{call.tenant_id}")
            known = _context(tls, private_key)
            self._contexts.keep(key, known, now_ms)
        return known


def _context(tls: AmsTls, private_key_pem: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=tls.ca_pem or None)
        if tls.certificate_pem:
            _load_identity(context, tls.certificate_pem, private_key_pem)
    except (ssl.SSLError, ValueError) as error:
        text = f"the bank's TLS settings are not usable: {type(error).__name__}"
        raise JobFailedError(text, UNUSABLE_RETRY_MS) from error
    return context


def _load_identity(context: ssl.SSLContext, certificate_pem: str, private_key_pem: str) -> None:
    """Load a certificate with its key; OpenSSL reads them from files only, which are gone at once."""
    with tempfile.TemporaryDirectory(prefix="payhub-") as folder:  # for its owner only
        file = Path(folder) / "identity.pem"
        file.write_text(f"{certificate_pem}\n{private_key_pem}\n", encoding="ascii")
        context.load_cert_chain(file, password=_no_password)


def _no_password() -> str:
    raise ValueError("the private key is encrypted; keys are sealed by payhub itself")
