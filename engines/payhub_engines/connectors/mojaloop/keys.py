"""Keys, opened once: the tenants' own to sign with and to fulfil, and other institutions' to verify with."""

from collections.abc import Callable
from typing import Final

import msgspec

from payhub_engines.connectors.mojaloop import ilp
from payhub_platform.contracts.tenant import TenantConfig, VerificationKey
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox

PUBLIC_KEYS_MAX: Final = 10_000


class TenantKey(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's opened signing key, and its ILP secrets, newest first; never logged or stored."""

    sealed: list[str]
    private_key: jws.PrivateKey
    public_key: jws.PublicKey
    ilp_secrets: list[str]

    @property
    def ilp_secret(self) -> str:
        """The secret that new quotes are answered with."""
        return self.ilp_secrets[0]


class KeyRing:
    """Opened keys by tenant; as many as the engine has tenants."""

    def __init__(self) -> None:
        self._opened: dict[str, TenantKey] = {}

    def of(self, tenant: TenantConfig, secrets: SecretBox) -> TenantKey:
        """Return a tenant's key, opening it where it is new or was replaced.

        Raises:
            SealError: it was sealed with another installation's key.
        """
        sealed = [tenant.signing_key.private_key_sealed, *tenant.ilp_secrets_sealed]
        known = self._opened.get(tenant.tenant_id)
        if known is not None and known.sealed == sealed:
            return known
        pem = secrets.open(sealed[0], f"jws:{tenant.tenant_id}")
        own = [secrets.open(each, f"ilp:{tenant.tenant_id}") for each in sealed[1:]]
        opened = TenantKey(
            sealed=sealed,
            private_key=jws.load_private_key(pem),
            public_key=jws.load_public_key(tenant.signing_key.public_key_pem),
            # Quotes answered before the tenant had a secret of its own are still open for a while.
            ilp_secrets=[*own, ilp.secret_of(pem)],
        )
        self._opened[tenant.tenant_id] = opened
        return opened


class PublicKeys:
    """Which keys an FSP's signature may be made with now; each is read from its PEM once."""

    def __init__(self, peer: Callable[[str], TenantConfig | None]) -> None:
        """Take how to find the tenant of this installation that an FSP id belongs to."""
        self._peer = peer
        self._read: dict[str, jws.PublicKey] = {}

    def of(self, fsp_id: str, tenant: TenantConfig, now_ms: int) -> list[jws.PublicKey]:
        """Return the keys of an FSP as a tenant knows it; during a rotation there are several.

        Args:
            fsp_id: FSPIOP-Source.
            tenant: who received the message: its scheme says which keys others have there.
            now_ms: keys are believed from and until a time.
        """
        scheme = tenant.scheme
        named = [key for key in scheme.peer_keys if key.fsp_id == fsp_id]
        pems = _valid(named, now_ms)
        if fsp_id == scheme.switch_fsp_id:
            pems.append(scheme.switch_public_key_pem)
        # Whom the scheme names is elsewhere: a tenant here that has the same id is so in another scheme.
        elif not named and (peer := self._peer(fsp_id)) is not None:
            own = peer.signing_key
            earlier = [key for key in own.earlier if key.fsp_id == fsp_id]
            pems += [own.public_key_pem, *_valid(earlier, now_ms)]
        return [self._key(pem) for pem in pems]

    def _key(self, pem: str) -> jws.PublicKey:
        key = self._read.get(pem)
        if key is None:
            if len(self._read) >= PUBLIC_KEYS_MAX:
                self._read.clear()
            key = self._read[pem] = jws.load_public_key(pem)
        return key


def _valid(keys: list[VerificationKey], now_ms: int) -> list[str]:
    return [
        key.public_key_pem
        for key in keys
        if key.valid_from_ms <= now_ms and (key.valid_until_ms is None or now_ms < key.valid_until_ms)
    ]
