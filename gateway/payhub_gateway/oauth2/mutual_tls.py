"""Clients that prove who they are by the certificate that they show in TLS (RFC 8705 section 2)."""

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749 import InvalidClientError
from cryptography.hazmat.primitives.serialization import Encoding

from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.authorities import Authorities, is_named
from payhub_gateway.oauth2.clients import Client

if TYPE_CHECKING:
    from payhub_gateway.oauth2.grants import GrantRequest

_REFUSED = "The certificate does not stand for this client."


class MutualTls:
    """One of the two methods; Authlib asks for clients through it.

    Args:
        method: ``tls_client_auth`` or ``self_signed_tls_client_auth``.
        authorities: who vouches for certificates.
    """

    def __init__(self, method: str, authorities: Authorities) -> None:
        self._method = method
        self._authorities = authorities
        check: dict[str, Callable[[Client, Any], bool]] = {
            model.TLS_CLIENT_AUTH: self._is_vouched_for,
            model.SELF_SIGNED: self._is_registered,
        }
        self._check = check[method]

    def __call__(self, query_client: Any, request: "GrantRequest") -> Client | None:
        """Authenticate the client that the request names; None where it proves itself in another way.

        Raises:
            InvalidClientError: the certificate is missing, or is not this client's.
        """
        form = request.form
        if "client_assertion" in form or "client_assertion_type" in form or not form.get("client_id"):
            return None
        client: Client | None = query_client(form["client_id"])
        if client is None or client.metadata.token_endpoint_auth_method != self._method:
            return None
        shown = request.shown
        if shown is None or not self._authorities.is_valid_now(shown.certificate):
            raise InvalidClientError(description=_REFUSED)
        if not self._check(client, shown.certificate):
            raise InvalidClientError(description=_REFUSED)
        return client

    def _is_vouched_for(self, client: Client, certificate: Any) -> bool:
        """Tell whether an authority of the client's tenant has issued a certificate to its name."""
        kind, name = client.metadata.tls_name()
        return bool(self._authorities.vouch(certificate, client.tenant)) and is_named(certificate, kind, name)

    def _is_registered(self, client: Client, certificate: Any) -> bool:
        """Tell whether the client has registered this very certificate."""
        shown = certificate.public_bytes(Encoding.DER)
        return any(hmac.compare_digest(shown, known) for known in client.certificates)
