"""The credential between payhub's own processes: one shared bearer token per installation.

Processes talk over loopback or a private network; mutual TLS between them comes with the rollout.
"""

import hmac
from collections.abc import Mapping

from payhub_platform.errors import UnauthenticatedError


def internal_headers(token: str) -> dict[str, str]:
    """Return the headers that a process of ours sends to another."""
    return {"authorization": f"Bearer {token}"}


def require_internal(headers: Mapping[str, str], token: str) -> None:
    """Refuse a request that does not carry the installation's token (constant-time compare).

    Raises:
        UnauthenticatedError: code ``internal-credential``.
    """
    sent = headers.get("authorization", "")
    if not token or not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        raise UnauthenticatedError("internal-credential", "This API is for payhub's own processes.")
