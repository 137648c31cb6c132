"""Access tokens of each kind, and the requests that a channel sends with them.

A proof of possession is signed for each request, as RFC 9449 has it: in this process, whose processor time is
in no figure of the gateway.
"""

import base64
import hashlib
import ssl
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from payhub_cli.bench.gateway_load import Request
from payhub_cli.demo.channel import Channel as Client
from payhub_cli.demo.client import Api
from payhub_cli.local.certificates import CertificateFiles

PATH: Final = "/v1/transfers"
TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path, not a secret
_COORDINATE_BYTES: Final = 32  # of P-256
_BODY: Final = msgspec.json.encode(
    {
        "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700000001"}},
        "payee": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": "254700000002"}},
        "amount": {"amount": "10.50", "currency": "KES"},
    }
)


class Prover:
    """Signs DPoP proofs (RFC 9449 section 4.2) with a key of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        point = self._key.public_key().public_numbers()
        x, y = (_base64url(number.to_bytes(_COORDINATE_BYTES)) for number in (point.x, point.y))
        jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        self._header = _json({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk})

    def proof(self, uri: str, token: str | None = None) -> str:
        """Return a proof for one POST to an address, with an access token or for one."""
        claims = {"jti": str(uuid.uuid4()), "htm": "POST", "htu": uri, "iat": int(time.time())}
        if token is not None:
            claims["ath"] = _base64url(hashlib.sha256(token.encode()).digest())
        signed = f"{self._header}.{_json(claims)}"
        numbers = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64url(b''.join(number.to_bytes(_COORDINATE_BYTES) for number in numbers))}"


async def bearer(client: Client) -> Request:
    """Get a token that is bound to nothing, or to the certificate of the client's connection."""
    await client.authenticate()
    return _writer(f"authorization: {client.headers['Authorization']}\r\n".encode())


async def dpop(client: Client, session: aiohttp.ClientSession, url: str) -> Request:
    """Get a token that is bound to a key."""
    prover = Prover()
    proven = client.at(Api(session, url, {"DPoP": prover.proof(url + TOKEN_PATH)}))
    await proven.authenticate()
    token = proven.headers["Authorization"].removeprefix("DPoP ")
    head = f"authorization: DPoP {token}\r\n".encode()
    uri = url + PATH
    return _writer(head, lambda: prover.proof(uri, token))


def tls_context(shown: CertificateFiles) -> ssl.SSLContext:
    """Return how a channel connects that shows a certificate."""
    context = ssl.create_default_context(cafile=shown.authority)
    context.load_cert_chain(shown.certificate, shown.key)
    return context


def _writer(head: bytes, proof: Callable[[], str] | None = None) -> Request:
    before = f"POST {PATH} HTTP/1.1\r\nhost: gateway\r\n".encode() + head
    rest = f"content-type: application/json\r\ncontent-length: {len(_BODY)}\r\nidempotency-key: ".encode()

    def write(key: str) -> bytes:
        proven = b"" if proof is None else f"dpop: {proof()}\r\n".encode()
        return before + proven + rest + key.encode() + b"\r\n\r\n" + _BODY

    return write


def _json(value: dict[str, Any]) -> str:
    return _base64url(msgspec.json.encode(value))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
