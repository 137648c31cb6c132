"""What the server says of itself (RFC 8414)."""

from typing import Any, Final

from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.details import DETAILS_TYPES

PATH_TOKEN: Final = "/oauth2/token"  # noqa: S105 - a path
PATH_PAR: Final = "/oauth2/par"
PATH_AUTHORIZE: Final = "/oauth2/authorize"
PATH_JWKS: Final = "/oauth2/jwks"
PATH_REGISTER: Final = "/oauth2/register"
PATH_INTROSPECT: Final = "/oauth2/introspect"
PATH_REVOKE: Final = "/oauth2/revoke"
PATH_METADATA: Final = "/.well-known/oauth-authorization-server"


def metadata(issuer: str) -> dict[str, Any]:
    """Describe the server to clients (RFC 8414 section 2, and what later standards add to it)."""
    methods, algorithms = list(model.AUTH_METHODS), list(model.ASSERTION_ALGORITHMS)
    endpoints: dict[str, Any] = {}
    for name in ("token", "introspection", "revocation"):
        endpoints[f"{name}_endpoint_auth_methods_supported"] = methods
        endpoints[f"{name}_endpoint_auth_signing_alg_values_supported"] = algorithms
    return {
        "issuer": issuer,
        "authorization_endpoint": issuer + PATH_AUTHORIZE,
        "token_endpoint": issuer + PATH_TOKEN,
        "pushed_authorization_request_endpoint": issuer + PATH_PAR,
        "introspection_endpoint": issuer + PATH_INTROSPECT,
        "revocation_endpoint": issuer + PATH_REVOKE,
        "registration_endpoint": issuer + PATH_REGISTER,
        "jwks_uri": issuer + PATH_JWKS,
        "require_pushed_authorization_requests": True,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(model.GRANT_TYPES),
        "scopes_supported": list(model.SCOPES),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": list(DETAILS_TYPES),
        "dpop_signing_alg_values_supported": algorithms,
        "tls_client_certificate_bound_access_tokens": True,
        **endpoints,
    }
