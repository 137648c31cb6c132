"""The DFSPs of the scheme: where they listen, their keys, and their positions against a cap."""

from typing import Final

import msgspec

from payhub_platform.errors import InvalidInputError, UnavailableError
from payhub_platform.money import Money
from payhub_platform.security.jws import PublicKey, load_public_key

PARTICIPANTS_MAX: Final = 256
CALLBACK_URLS_MAX: Final = 8
FSP_ID_CHARACTERS_MAX: Final = 32  # FspId, FSPIOP 1.1 section 7.3.16


class Registration(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What the scheme's operator says of a DFSP.

    A callback URL may be several with a space between them, as a load balancer's addresses: where one does
    not take a message, the next attempt goes to the next one.
    """

    fsp_id: str
    currency: str
    callback_urls: list[str]
    public_key_pem: str
    net_debit_cap: str  # decimal text in major units


class Participant(msgspec.Struct, kw_only=True):
    """A DFSP at the switch.

    Attributes:
        net_debit_cap: how far its position may go, minor units.
        position: net of what it sent and received, minor units; positive owes the scheme.
        reserved: sum of its transfers under way, minor units.
    """

    fsp_id: str
    currency: str
    callback_urls: list[str]
    public_key: PublicKey
    net_debit_cap: int
    position: int = 0
    reserved: int = 0

    def callback_url(self, lane: int, attempt: int = 1) -> str:
        """Return the callback URL that a conversation on this lane uses for its n-th attempt (from 1)."""
        addresses = self.callback_urls[lane % len(self.callback_urls)].split()
        return addresses[(attempt - 1) % len(addresses)]

    def has_liquidity(self, amount: Money) -> bool:
        """Tell whether a transfer of this amount stays within the net debit cap."""
        return self.position + self.reserved + amount.minor <= self.net_debit_cap


class Participants:
    """All DFSPs by FSP id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Participant] = {}

    def register(self, registration: Registration) -> Participant:
        """Add a DFSP, or change its addresses, key and cap; positions stay.

        Raises:
            InvalidInputError: a field is not usable, or the currency of a known DFSP changes.
            UnavailableError: the sandbox holds as many participants as it can.
        """
        fsp_id = registration.fsp_id
        cap = Money.parse(registration.net_debit_cap, registration.currency, where="/netDebitCap").minor
        urls = _checked_urls(registration.callback_urls)
        key = _checked_key(registration.public_key_pem)
        if not 1 <= len(fsp_id) <= FSP_ID_CHARACTERS_MAX:
            raise InvalidInputError("invalid-fsp-id", "An FSP id has 1 to 32 characters.", "/fspId")
        known = self._by_id.get(fsp_id)
        if known is None:
            if len(self._by_id) >= PARTICIPANTS_MAX:
                raise UnavailableError("too-many-participants", f"At most {PARTICIPANTS_MAX} participants.")
            known = Participant(
                fsp_id=fsp_id,
                currency=registration.currency,
                callback_urls=urls,
                public_key=key,
                net_debit_cap=cap,
            )
            self._by_id[fsp_id] = known
        if known.currency != registration.currency:
            raise InvalidInputError(
                "currency-changed", "A participant's currency does not change.", "/currency"
            )
        known.callback_urls, known.public_key, known.net_debit_cap = urls, key, cap
        return known

    def get(self, fsp_id: str) -> Participant | None:
        """Return a DFSP, or None where it is not registered."""
        return self._by_id.get(fsp_id)

    def all(self) -> list[Participant]:
        """Return all DFSPs in the order of their registration."""
        return list(self._by_id.values())

    def lanes(self) -> int:
        """Return how many lanes conversations are spread over: the longest list of callback URLs."""
        return max((len(one.callback_urls) for one in self._by_id.values()), default=1)


def _checked_urls(urls: list[str]) -> list[str]:
    if not 1 <= len(urls) <= CALLBACK_URLS_MAX:
        raise InvalidInputError(
            "invalid-callback-urls", f"Between 1 and {CALLBACK_URLS_MAX} callback URLs.", "/callbackUrls"
        )
    for index, url in enumerate(urls):
        if not url.split() or not all(one.startswith(("http://", "https://")) for one in url.split()):
            raise InvalidInputError(
                "invalid-callback-urls", "A callback URL starts with http.", f"/callbackUrls/{index}"
            )
    return [" ".join(one.rstrip("/") for one in url.split()) for url in urls]


def _checked_key(pem: str) -> PublicKey:
    try:
        return load_public_key(pem)
    except ValueError as error:
        raise InvalidInputError(
            "unsuitable-key", "The text is no PEM public key.", "/publicKeyPem"
        ) from error
