"""The light Mojaloop switch: passes messages on, settles at once, keeps nothing. Pure.

Where the payee's institution is nobody's, it answers in that institution's name as well.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from payhub_engines.connectors.mojaloop import ilp
from payhub_engines.connectors.mojaloop.headers import format_date
from payhub_platform.clock import iso
from payhub_platform.contracts import fspiop
from payhub_platform.contracts.tenant import SchemeConnection
from payhub_platform.security import jws

SWITCH_FSP: Final = "switch"
QUOTE_VALIDITY_MS: Final = 30_000
ILP_SECRET: Final = "light-switch"  # noqa: S105 - of an institution that does not exist

_PASSED_ON: Final = (
    "Accept",
    "Content-Type",
    "Date",
    "FSPIOP-Source",
    "FSPIOP-Destination",
    "FSPIOP-Signature",
    "FSPIOP-URI",
    "FSPIOP-HTTP-Method",
    "traceparent",  # without it, two look-ups of one party within a second are one to the payee
)
_DEFAULTS: Final = SchemeConnection(base_url="", switch_fsp_id=SWITCH_FSP, switch_public_key_pem="")
_QUOTE: Final = msgspec.json.Decoder(fspiop.QuoteRequest)
_PREPARE: Final = msgspec.json.Decoder(fspiop.TransferPrepare)
_FULFIL: Final = msgspec.json.Decoder(fspiop.TransferFulfil)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way to an institution."""

    to: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Whose signatures are made and believed; all empty where nothing is signed.

    Attributes:
        private_pems: of the switch and of the payee it plays, by FSP id.
        public_pems: of everybody who sends, by FSP id.
    """

    private_pems: dict[str, str] = {}
    public_pems: dict[str, str] = {}


class Switch:
    """Takes a message and returns those that follow from it.

    Args:
        payee_fsp: whose all parties are.
        is_payee: there is no such institution, and the switch answers for it.
        keys: to sign and to verify with.
    """

    def __init__(self, payee_fsp: str, keys: Keys, *, is_payee: bool) -> None:
        self._payee_fsp = payee_fsp
        self._is_payee = is_payee
        self._private = {fsp: jws.load_private_key(pem) for fsp, pem in keys.private_pems.items()}
        self._public = {fsp: jws.load_public_key(pem) for fsp, pem in keys.public_pems.items()}

    def take(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, now_ms: int
    ) -> list[Sent]:
        """Return what goes out because of a message.

        Args:
            method: HTTP method, upper case.
            path: from the resource on, as the sender encoded it.
            headers: by lower-case name.
            body: as received.
            now_ms: the time.

        Raises:
            SignatureError: it is not signed by its FSPIOP-Source, though all are to sign.
            msgspec.DecodeError: the body is not what the resource wants.
        """
        if self._public and body:
            jws.verify(body, headers, path, method, self._public[headers["fspiop-source"]])
        resource = path.split("/")[1]
        if method == "PUT" and resource == "transfers":
            return self._settled(path, headers, body, now_ms)
        if method == "GET" and resource == "transfers":
            return []  # who asks for what became of a transfer waits on: the answer is on its way
        if method in ("GET", "POST") and self._is_payee:
            return [self._answered(resource, path, headers, body, now_ms)]
        passed = {name: headers[name.lower()] for name in _PASSED_ON if name.lower() in headers}
        passed.setdefault("FSPIOP-Destination", self._payee_fsp)
        return [Sent(to=passed["FSPIOP-Destination"], method=method, path=path, headers=passed, body=body)]

    def _settled(self, path: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> list[Sent]:
        """Tell both sides that a transfer is committed, once the payee has fulfilled it."""
        reserved = _FULFIL.decode(body)
        done = fspiop.TransferFulfil(
            transfer_state="COMMITTED", fulfilment=reserved.fulfilment, completed_timestamp=iso(now_ms)
        )
        told = fspiop.TransferFulfil(transfer_state="COMMITTED", completed_timestamp=iso(now_ms))
        content = headers["content-type"]
        payer, payee = headers["fspiop-destination"], headers["fspiop-source"]
        return [
            self._own(SWITCH_FSP, payer, "PUT", path, content, done, now_ms),
            self._own(SWITCH_FSP, payee, "PATCH", path, content, told, now_ms),
        ]

    def _answered(
        self, resource: str, path: str, headers: Mapping[str, str], body: bytes, now_ms: int
    ) -> Sent:
        """Answer as the payee's institution does, and settle its transfers."""
        payer, content = headers["fspiop-source"], headers["content-type"]
        if resource == "parties":
            kind, identifier = path.split("/")[2:4]
            info = fspiop.PartyIdInfo(party_id_type=kind, party_identifier=identifier, fsp_id=self._payee_fsp)
            party = fspiop.PartyResponse(party=fspiop.Party(party_id_info=info, name="Member"))
            return self._own(self._payee_fsp, payer, "PUT", path, content, party, now_ms)
        if resource == "quotes":
            quote = _QUOTE.decode(body)
            expiration = iso(now_ms + QUOTE_VALIDITY_MS)
            agreed = ilp.agree(ilp.transaction_of(quote, quote.amount, expiration), ILP_SECRET, _DEFAULTS)
            terms = fspiop.QuoteResponse(
                transfer_amount=quote.amount,
                payee_receive_amount=quote.amount,
                expiration=expiration,
                ilp_packet=agreed.packet,
                condition=agreed.condition,
            )
            back = f"/quotes/{quote.quote_id}"
            return self._own(self._payee_fsp, payer, "PUT", back, content, terms, now_ms)
        prepare = _PREPARE.decode(body)
        done = fspiop.TransferFulfil(
            transfer_state="COMMITTED",
            fulfilment=ilp.fulfilment_of(prepare.ilp_packet, ILP_SECRET),
            completed_timestamp=iso(now_ms),
        )
        back = f"/transfers/{prepare.transfer_id}"
        return self._own(SWITCH_FSP, payer, "PUT", back, content, done, now_ms)

    def _own(
        self,
        source: str,
        to: str,
        method: str,
        path: str,
        content_type: str,
        body: fspiop.Message,
        now_ms: int,
    ) -> Sent:
        data = msgspec.json.encode(body)
        headers = {
            "Content-Type": content_type,
            "Date": format_date(now_ms),
            "FSPIOP-Source": source,
            "FSPIOP-Destination": to,
        }
        if self._private:
            headers |= jws.sign(data, headers, path, method, self._private[source])
        return Sent(to=to, method=method, path=path, headers=headers, body=data)
