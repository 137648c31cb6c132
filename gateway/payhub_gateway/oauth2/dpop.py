"""DPoP: each request proves possession of the key that its token is bound to (RFC 9449)."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from typing import Annotated, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.errors import InvalidProofError, NonceWantedError
from payhub_gateway.oauth2.replay import ReplayStore
from payhub_gateway.oauth2.signatures import ALGORITHMS, PublicKey, base64url, read_key, unbase64url
from payhub_platform.clock import Clock

PROOF_TYPE: Final = "dpop+jwt"
PROOF_AGE_MAX_S: Final = 60
PROOF_CHARS_MAX: Final = 4 * 1024
HOLD_MS: Final = (PROOF_AGE_MAX_S + 2 * model.CLOCK_LEEWAY_S) * 1000
REPLAYS_PER_KEY_MAX: Final = 150_000  # some 1,900 requests/s of one key
REPLAYS_MAX: Final = 300_000
KEYS_KEPT_MAX: Final = 4096
NONCE_PERIOD_S: Final = 120  # one is good in its own period and in the next
_SEGMENTS: Final = 3
_PORTS: Final = {"https": 443, "http": 80}


class Proof(msgspec.Struct, frozen=True):
    """A proof that holds: whose key (RFC 7638 thumbprint), and its id."""

    thumbprint: str
    jti: str


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    typ: str
    alg: str
    jwk: dict[str, Any]
    crit: Any = None
    b64: Any = None


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    htm: str
    htu: str
    iat: model.NumericDate
    ath: str | None = None
    nonce: str | None = None
    exp: model.NumericDate | None = None
    nbf: model.NumericDate | None = None


_HEADER: Final = msgspec.json.Decoder(_Header)
_CLAIMS: Final = msgspec.json.Decoder(_Claims)


class Nonces:
    """Nonces of this process: a proof with one was made for it, just now, and is good nowhere else."""

    def __init__(self, clock: Clock) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock

    def current(self) -> str:
        """Return the nonce to use from now on."""
        return self._of(self._period())

    def fits(self, nonce: str) -> bool:
        """Tell whether a nonce is this process's own and young enough."""
        period = self._period()
        sent = nonce.encode()
        return any(hmac.compare_digest(sent, self._of(period - age).encode()) for age in (0, 1))

    def _period(self) -> int:
        return self._clock() // (NONCE_PERIOD_S * 1000)

    def _of(self, period: int) -> str:
        return base64url(hmac.digest(self._key, period.to_bytes(8), "sha256")[:18])


class Proofs:
    """Checks proofs. Keys are kept per header, which is the same in all proofs of a client."""

    def __init__(self, clock: Clock, nonces: Nonces | None = None) -> None:
        self.nonces = nonces
        self._clock = clock
        self._replays = ReplayStore(REPLAYS_PER_KEY_MAX, REPLAYS_MAX, HOLD_MS)
        self._keys: OrderedDict[str, tuple[PublicKey, str]] = OrderedDict()

    def verify(self, sent: list[str], method: str, uri: str, token: str | None = None) -> Proof:
        """Return the proof of a request; ``use`` it once it is known whose it is.

        Args:
            sent: all values of the request's DPoP header.
            method: HTTP method.
            uri: where clients send the request, without its query.
            token: the access token it comes with, which the proof must name.

        Raises:
            InvalidProofError: what does not hold.
            NonceWantedError: it must carry this process's nonce.
        """
        if len(sent) != 1 or len(sent[0]) > PROOF_CHARS_MAX:
            raise InvalidProofError("Send exactly one DPoP proof.")
        segments = sent[0].split(".")
        if len(segments) != _SEGMENTS:
            raise InvalidProofError("The DPoP proof is no JWT.")
        key = self._key(segments[0])
        try:
            payload, signature = unbase64url(segments[1]), unbase64url(segments[2])
            key.verify(signature, f"{segments[0]}.{segments[1]}".encode())
            claims = _CLAIMS.decode(payload)
        except (ValueError, RecursionError) as error:
            raise InvalidProofError("The DPoP proof cannot be verified.") from error
        _check_claims(claims, method, uri, self._clock() / 1000)
        if token is not None and claims.ath != base64url(hashlib.sha256(token.encode()).digest()):
            raise InvalidProofError("ath of the DPoP proof is not the hash of the access token.")
        if self.nonces is not None and not (claims.nonce and self.nonces.fits(claims.nonce)):
            raise NonceWantedError(self.nonces.current())
        return Proof(key.thumbprint, claims.jti)

    def use(self, proof: Proof) -> None:
        """Use a proof up in this process; not before it is a client's own, or strangers fill the memory.

        Raises:
            InvalidProofError: it was used before.
            UnavailableError: code ``overloaded``; too many proofs are remembered.
        """
        if not self._replays.use(proof.thumbprint, proof.jti, self._clock()):
            raise InvalidProofError("The DPoP proof was used before.")

    def _key(self, segment: str) -> PublicKey:
        known = self._keys.get(segment)
        if known is not None:
            self._keys.move_to_end(segment)
            return known[0]
        try:
            header = _HEADER.decode(unbase64url(segment))
            if header.typ != PROOF_TYPE or header.crit is not None or header.b64 is not None:
                raise InvalidProofError(f"typ of the DPoP proof must be {PROOF_TYPE}, without extensions.")
            if header.alg not in ALGORITHMS:
                raise InvalidProofError(f"The DPoP proof must be signed with one of {', '.join(ALGORITHMS)}.")
            key = read_key(header.jwk)
            if header.alg not in key.algorithms:
                raise InvalidProofError("alg and jwk of the DPoP proof do not fit.")
        except (ValueError, RecursionError) as error:
            raise InvalidProofError("The header of the DPoP proof cannot be read.") from error
        self._keys[segment] = (key, header.alg)
        if len(self._keys) > KEYS_KEPT_MAX:
            self._keys.popitem(last=False)
        return key


def _check_claims(claims: _Claims, method: str, uri: str, now_s: float) -> None:
    if claims.htm != method:
        raise InvalidProofError("htm of the DPoP proof is another method.")
    if claims.htu != uri and not _same_place(claims.htu, uri):
        raise InvalidProofError("htu of the DPoP proof is another address.")
    # Written so that NaN is refused.
    if not now_s - PROOF_AGE_MAX_S - model.CLOCK_LEEWAY_S < claims.iat <= now_s + model.CLOCK_LEEWAY_S:
        raise InvalidProofError("iat of the DPoP proof is too far from now.")
    if claims.exp is not None and not claims.exp > now_s - model.CLOCK_LEEWAY_S:
        raise InvalidProofError("The DPoP proof has expired.")
    if claims.nbf is not None and not claims.nbf <= now_s + model.CLOCK_LEEWAY_S:
        raise InvalidProofError("The DPoP proof is not valid yet.")


def _same_place(one: str, other: str) -> bool:
    """Compare addresses without query and fragment, after normalization (RFC 9449 section 4.3 item 9)."""
    try:
        return _place(one) == _place(other)
    except ValueError:
        return False


def _place(uri: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme), unquote(parts.path) or "/"
