"""The DFSPs of the scheme: where they listen, their keys, and a position against a cap in each currency."""

from typing import Final

import msgspec

from payhub_platform.errors import InvalidInputError, NotFoundError, UnavailableError
from payhub_platform.money import Money
from payhub_sandbox.switch.signature import PublicKey, read_public_key

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


class Position(msgspec.Struct, kw_only=True):
    """What a DFSP owes or is owed in one currency; all amounts are minor units.

    Attributes:
        net_debit_cap: how far position and reservations together may go.
        position: net of what was sent and received and is not settled yet; positive owes the scheme.
        reserved: sum of its transfers under way.
        settled: net of what was settled; positive was paid to the scheme.
    """

    currency: str
    net_debit_cap: int
    position: int = 0
    reserved: int = 0
    settled: int = 0

    def has_liquidity(self, minor: int) -> bool:
        """Tell whether a transfer of this amount stays within the net debit cap."""
        return self.position + self.reserved + minor <= self.net_debit_cap


class Participant(msgspec.Struct, kw_only=True):
    """A DFSP at the switch.

    Attributes:
        positions: by currency; a currency that is not there cannot be sent or received.
        active: whether the scheme's operator lets it take part.
    """

    fsp_id: str
    callback_urls: list[str]
    public_key: PublicKey
    positions: dict[str, Position] = {}
    active: bool = True

    def callback_url(self, lane: int, attempt: int = 1) -> str:
        """Return the callback URL that a conversation on this lane uses for its n-th attempt (from 1)."""
        addresses = self.callback_urls[lane % len(self.callback_urls)].split()
        return addresses[(attempt - 1) % len(addresses)]


class Limit(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A change of a DFSP's limit while the switch runs; what is left out stays.

    A cap below what is owed already is allowed: new transfers are refused until it is settled.
    """

    fsp_id: str
    currency: str
    net_debit_cap: str | None = None  # decimal text in major units
    active: bool | None = None


class Participants:
    """All DFSPs by FSP id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Participant] = {}

    def register(self, registration: Registration) -> Participant:
        """Add a DFSP or a currency of it, or change its addresses, key and cap; positions stay.

        Raises:
            InvalidInputError: a field is not usable.
            UnavailableError: the sandbox holds as many participants as it can.
        """
        fsp_id, currency = registration.fsp_id, registration.currency
        cap = Money.parse(registration.net_debit_cap, currency, where="/netDebitCap").minor
        urls = _checked_urls(registration.callback_urls)
        key = _checked_key(registration.public_key_pem)
        if not 1 <= len(fsp_id) <= FSP_ID_CHARACTERS_MAX:
            raise InvalidInputError("invalid-fsp-id", "An FSP id has 1 to 32 characters.", "/fspId")
        known = self._by_id.get(fsp_id)
        if known is None:
            if len(self._by_id) >= PARTICIPANTS_MAX:
                raise UnavailableError("too-many-participants", f"At most {PARTICIPANTS_MAX} participants.")
            known = Participant(fsp_id=fsp_id, callback_urls=urls, public_key=key)
            self._by_id[fsp_id] = known
        known.callback_urls, known.public_key = urls, key
        position = known.positions.setdefault(currency, Position(currency=currency, net_debit_cap=cap))
        position.net_debit_cap = cap
        return known

    def limit(self, limit: Limit) -> Position:
        """Change a cap, or whether a DFSP takes part.

        Raises:
            NotFoundError: code ``unknown-participant``.
            InvalidInputError: the cap is no amount.
        """
        known = self._by_id.get(limit.fsp_id)
        position = known.positions.get(limit.currency) if known is not None else None
        if known is None or position is None:
            raise NotFoundError("unknown-participant", "The switch has no such participant in this currency.")
        if limit.net_debit_cap is not None:
            where = "/netDebitCap"
            position.net_debit_cap = Money.parse(limit.net_debit_cap, limit.currency, where=where).minor
        if limit.active is not None:
            known.active = limit.active
        return position

    def get(self, fsp_id: str) -> Participant | None:
        """Return a DFSP, or None where it is not registered."""
        return self._by_id.get(fsp_id)

    def all(self) -> list[Participant]:
        """Return all DFSPs in the order of their registration."""
        return list(self._by_id.values())

    def position(self, fsp_id: str, currency: str) -> Position:
        """Return a position that is known to be there."""
        return self._by_id[fsp_id].positions[currency]

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
        return read_public_key(pem)
    except ValueError as error:
        raise InvalidInputError(
            "unsuitable-key", "The text is no PEM public key.", "/publicKeyPem"
        ) from error
