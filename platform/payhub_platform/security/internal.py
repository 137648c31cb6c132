"""The credential between payhub's own processes: one shared bearer token per installation.

Processes talk over loopback or a private network; mutual TLS between them comes with the rollout.
"""

import hmac
from collections.abc import Mapping

from payhub_platform.errors import UnauthenticatedError


def internal_headers(token: str) -> dict[str, str]:
    """Return the headers that a process of ours sends to another."""
    return {"authorization": f"Bearer {token}"}


def bears(headers: Mapping[str, str], token: str) -> bool:
    """Tell whether a request carries a bearer token (constant-time compare); an empty token never fits."""
    sent = headers.get("authorization", "")
    return bool(token) and hmac.compare_digest(sent.encode(), f"Bearer {token}".encode())


def require_internal(headers: Mapping[str, str], token: str) -> None:
    """Refuse a request that does not carry the installation's token.

    Raises:
        UnauthenticatedError: code ``internal-credential``.
    """
    if not bears(headers, token):
        raise UnauthenticatedError("internal-credential", "This API is for payhub's own processes.")
