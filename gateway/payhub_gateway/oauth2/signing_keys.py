"""The keys that access tokens are signed with: each follows the last one, with overlap.

A key is published before it signs (clients cache the key set), and after it has signed until its last
token has expired. Every copy of the gateway has keys of its own and verifies tokens by the others'. Workers
of one copy share its file: whichever is first makes the next key, and the others take that one.
"""

import contextlib
import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.errors import SigningKeyError
from payhub_gateway.oauth2.records import Signer
from payhub_platform.clock import Clock

_logger = logging.getLogger(__name__)

TOKEN_ALGORITHM: Final = "ES256"  # noqa: S105 - an algorithm, not a secret
ROTATE_EVERY_S: Final = 30 * 86_400
PUBLISH_BEFORE_S: Final = 3600  # twelve times as long as the key set may be cached
KEEP_AFTER_S: Final = model.TOKEN_LIFETIME_S + 60
_OWNER_ONLY: Final = 0o600
_P256: Final = "P-256"


class _Dated(msgspec.Struct, frozen=True, kw_only=True):
    """A private key and when it begins to sign."""

    jwk: dict[str, str | list[str]]
    signs_from_ms: int


class _File(msgspec.Struct, frozen=True):
    keys: list[_Dated]


class SigningKeys:
    """This copy's keys, newest last, kept in one file that its owner alone can read.

    Raises:
        SigningKeyError: others may read the file, or it holds no such keys.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._keys = _load(path, clock())
        self.tend()

    def tend(self) -> None:
        """Make the next key when its time has come, and drop those whose tokens have all expired.

        Called at the start and now and then; a clock that jumps only makes it earlier or later.
        """
        with _alone(self._path):
            if self._is_due():
                self._take_from_file()
            now_ms = self._clock()
            kept = [
                held
                for held, following in zip(self._keys, [*self._keys[1:], None], strict=True)
                if following is None or following[0].signs_from_ms + KEEP_AFTER_S * 1000 > now_ms
            ]
            if self._is_due():
                kept.append(_new(now_ms + PUBLISH_BEFORE_S * 1000))
            if kept != self._keys:
                self._keys = kept
                _write(self._path, _File([dated for dated, _ in kept]))

    def rotate(self) -> None:
        """Begin the next key's time of publication now; it signs ``PUBLISH_BEFORE_S`` later."""
        with _alone(self._path):
            self._take_from_file()
            self._keys = [*self._keys, _new(self._clock() + PUBLISH_BEFORE_S * 1000)]
            _write(self._path, _File([dated for dated, _ in self._keys]))

    def _is_due(self) -> bool:
        newest = self._keys[-1][0]
        return self._clock() >= newest.signs_from_ms + (ROTATE_EVERY_S - PUBLISH_BEFORE_S) * 1000

    def _take_from_file(self) -> None:
        """Know what another worker has made; a file that cannot be read is written anew by ``tend``."""
        if not self._path.exists():
            return
        try:
            self._keys = _load(self._path, self._clock())
        except SigningKeyError:
            _logger.exception("the file of the token keys cannot be read; those in memory stay")

    def signing(self) -> ECKey:
        """Return the key that signs now."""
        return self._keys[self._signing_index(self._clock())][1]

    def signers(self) -> list[Signer]:
        """Return the public keys to publish, with the time until which tokens of each may be about."""
        now_ms = self._clock()
        last_ms = now_ms + (ROTATE_EVERY_S + KEEP_AFTER_S) * 1000
        signers = []
        for index, (_, key) in enumerate(self._keys):
            followed = index + 1 < len(self._keys)
            ends_ms = self._keys[index + 1][0].signs_from_ms + KEEP_AFTER_S * 1000 if followed else last_ms
            signers.append(Signer(jwk=_public(key), forget_at_ms=ends_ms))
        return signers

    def _signing_index(self, now_ms: int) -> int:
        begun = [index for index, (dated, _) in enumerate(self._keys) if dated.signs_from_ms <= now_ms]
        return begun[-1] if begun else 0


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time change the file."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _load(path: Path, now_ms: int) -> list[tuple[_Dated, ECKey]]:
    return [(dated, _private(dated, path)) for dated in _read(path, now_ms)]


def _new(signs_from_ms: int) -> tuple[_Dated, ECKey]:
    key = ECKey.generate_key(_P256, {"use": "sig", "alg": TOKEN_ALGORITHM}, auto_kid=True)
    jwk: Any = key.as_dict(private=True)
    return _Dated(jwk=jwk, signs_from_ms=signs_from_ms), key


def _public(key: ECKey) -> dict[str, Any]:
    return {**key.as_dict(private=False), "use": "sig", "alg": TOKEN_ALGORITHM}


def _private(dated: _Dated, path: Path) -> ECKey:
    try:
        key = ECKey.import_key(dated.jwk)
        usable = key.is_private and key.curve_name == _P256
    except (JoseError, ValueError, KeyError) as error:
        raise SigningKeyError("signing-key-damaged", f"{path.name} holds no signing key.") from error
    if not usable:
        raise SigningKeyError("signing-key-damaged", f"{path.name} holds no private P-256 key.")
    key.ensure_kid()
    return key


def _read(path: Path, now_ms: int) -> list[_Dated]:
    if not path.exists():
        _write(path, _File([_new(now_ms)[0]]), only_new=True)
    if stat.S_IMODE(path.stat().st_mode) & ~_OWNER_ONLY:
        raise SigningKeyError("signing-key-exposed", f"{path.name} must have mode 600.")
    try:
        held = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        # One key by itself is what the first release wrote.
        dated = [{"jwk": held, "signs_from_ms": now_ms}] if "kty" in held else held.get("keys")
        keys = msgspec.convert(dated, list[_Dated])
    except ValueError as error:
        raise SigningKeyError("signing-key-damaged", f"{path.name} holds no signing key.") from error
    if not keys:
        raise SigningKeyError("signing-key-damaged", f"{path.name} holds no signing key.")
    return keys


def _write(path: Path, content: _File, *, only_new: bool = False) -> None:
    """Write the file whole and with mode 600 or not at all.

    Of two processes that make it at the same time, both use the one that came first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(content))
        file.flush()
        os.fsync(file.fileno())
    if not only_new:
        unfinished.replace(path)
    else:
        try:
            # link, unlike rename, never replaces a file that another process has just made.
            path.hardlink_to(unfinished)
        except FileExistsError:
            return
        finally:
            unfinished.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
