"""Interledger packets, conditions and fulfilments as Mojaloop uses them (FSPIOP 1.1 section 6.5.2.3).

A packet of version 1 has OER lengths: type 1, then amount in minor units (uint64), address, data and no
extensions. One of version 4 is an ILP Prepare: type 12, amount, expiry, condition, address, data. Data is the
base64url of the transaction's JSON. The payee alone can make the fulfilment; anybody can check it:
SHA-256(fulfilment) = condition.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from payhub_engines.connectors.mojaloop import ulids
from payhub_platform.clock import iso, parse_iso
from payhub_platform.contracts.fspiop import FspMoney, Message, Party, QuoteRequest, TransactionType
from payhub_platform.contracts.tenant import SchemeConnection
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money

PACKET_TYPE: Final = 1
PREPARE_TYPE: Final = 12
PREPARE_ADDRESS: Final = "g.mojaloop"  # identifiers of parties are no ILP addresses, so version 4 names none
PACKET_CHARACTERS_MAX: Final = 32_768  # FSPIOP 1.1 section 7.2.17
HASH_BYTES: Final = 32
_AMOUNT_BYTES: Final = 8
_EXPIRY_CHARACTERS: Final = 17  # YYYYMMDDHHMMSSmmm
_SHORT_LENGTH_MAX: Final = 127
_LENGTH_BYTES_MAX: Final = 3


class PacketError(InvalidInputError):
    """An ILP packet, condition or fulfilment that cannot be understood."""

    def __init__(self, detail: str) -> None:
        super().__init__("invalid-ilp-packet", detail, "/ilpPacket")


class Transaction(Message, frozen=True, kw_only=True):
    """The packet's data, in the order of fields that Mojaloop's own library writes."""

    quote_id: str
    transaction_id: str
    transaction_type: TransactionType
    payee: Party
    payer: Party
    expiration: str
    amount: FspMoney
    note: str | None = None


class PacketIds(Message, frozen=True, kw_only=True):
    """What any peer's packet must hold; peers differ in the rest."""

    transaction_id: str
    quote_id: str


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed packet; of version 4 it holds the condition and when it expires."""

    version: int
    amount_minor: int
    address: str
    ids: PacketIds
    data: bytes  # the transaction's JSON as its maker wrote it
    condition: str | None = None
    expires_at_ms: int | None = None


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """What a payee answers a quote with; the fulfilment is kept to itself until the transfer."""

    packet: str
    condition: str
    fulfilment: str


def transaction_of(quote: QuoteRequest, transfer_amount: FspMoney, expiration: str) -> Transaction:
    """Return what the payee commits to by answering a quote."""
    return Transaction(
        quote_id=quote.quote_id,
        transaction_id=quote.transaction_id,
        transaction_type=quote.transaction_type,
        payee=quote.payee,
        payer=quote.payer,
        expiration=expiration,
        amount=transfer_amount,
        note=quote.note,
    )


def agree(transaction: Transaction, secret: str, scheme: SchemeConnection) -> Agreement:
    """Commit to a transaction in the form that a scheme uses.

    Raises:
        InvalidInputError: the amount is no money, or the expiration no time.
    """
    if scheme.iso20022:
        transaction = msgspec.structs.replace(
            transaction,
            quote_id=ulids.written(transaction.quote_id),
            transaction_id=ulids.written(transaction.transaction_id),
        )
    if scheme.ilp_version == 1 and not scheme.iso20022:
        packet = build_packet(transaction)
        fulfilment = fulfilment_of(packet, secret)
        return Agreement(packet=packet, condition=condition_of(fulfilment), fulfilment=fulfilment)
    data = msgspec.json.encode(transaction)
    fulfilment = _mac(base64.b64encode(data), secret)
    condition = condition_of(fulfilment)
    amount = Money.parse(transaction.amount.amount, transaction.amount.currency)
    packet = build_prepare_of(data, amount, condition, transaction.expiration)
    return Agreement(packet=packet, condition=condition, fulfilment=fulfilment)


def build_packet(transaction: Transaction) -> str:
    """Build the packet of version 1 for a transaction, base64url without padding.

    Raises:
        InvalidInputError: the amount is no money.
    """
    return build_packet_of(
        msgspec.json.encode(transaction),
        Money.parse(transaction.amount.amount, transaction.amount.currency),
        address_of(transaction.payee),
    )


def build_packet_of(data: bytes, amount: Money, address: str) -> str:
    """Build a packet of version 1 from the transaction's JSON as it is to be sent."""
    body = struct.pack(">Q", amount.minor) + _octets(address.encode()) + _octets(_b64(data)) + b"\x00"
    return _b64(bytes([PACKET_TYPE]) + _octets(body)).decode()


def build_prepare_of(data: bytes, amount: Money, condition: str, expiration: str) -> str:
    """Build a packet of version 4 from the transaction's JSON as it is to be sent."""
    body = (
        struct.pack(">Q", amount.minor)
        + _expiry(expiration)
        + _unb64(condition)
        + _octets(PREPARE_ADDRESS.encode())
        + _octets(_b64(data))
    )
    return _b64(bytes([PREPARE_TYPE]) + _octets(body)).decode()


def address_of(party: Party) -> str:
    """Return the ILP address of a party: ``g.<fsp>.<type>.<identifier>[.<sub id>]``."""
    info = party.party_id_info
    parts = ["g", info.fsp_id or "", info.party_id_type.lower(), info.party_identifier.lower()]
    if info.party_sub_id_or_type:
        parts.append(info.party_sub_id_or_type.lower())
    return ".".join(parts)


def parse_packet(packet: str) -> Packet:
    """Read a packet of version 1 or 4.

    Raises:
        PacketError: it is neither, or its data names no transaction.
    """
    if len(packet) > PACKET_CHARACTERS_MAX:
        raise PacketError(f"The ILP packet is longer than {PACKET_CHARACTERS_MAX} characters.")
    raw = _unb64(packet)
    if not raw or raw[0] not in (PACKET_TYPE, PREPARE_TYPE):
        raise PacketError("The ILP packet is not of version 1 or 4.")
    body, rest = _take_octets(raw[1:])
    if rest or len(body) < _AMOUNT_BYTES:
        raise PacketError("The ILP packet has a wrong length.")
    amount, rest = int.from_bytes(body[:_AMOUNT_BYTES], "big"), body[_AMOUNT_BYTES:]
    condition, expires_at_ms = None, None
    if raw[0] == PREPARE_TYPE:
        if len(rest) < _EXPIRY_CHARACTERS + HASH_BYTES:
            raise PacketError("The ILP packet ends early.")
        expires_at_ms = _expires_at_ms(rest[:_EXPIRY_CHARACTERS])
        condition = _b64(rest[_EXPIRY_CHARACTERS : _EXPIRY_CHARACTERS + HASH_BYTES]).decode()
        rest = rest[_EXPIRY_CHARACTERS + HASH_BYTES :]
    address, rest = _take_octets(rest)
    encoded, _ = _take_octets(rest)
    try:
        data = _unb64(encoded.decode("ascii"))
        named = msgspec.json.decode(data, type=PacketIds)
        return Packet(
            version=4 if raw[0] == PREPARE_TYPE else 1,
            amount_minor=amount,
            address=address.decode("ascii"),
            ids=PacketIds(
                transaction_id=ulids.read(named.transaction_id), quote_id=ulids.read(named.quote_id)
            ),
            data=data,
            condition=condition,
            expires_at_ms=expires_at_ms,
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PacketError("The ILP packet's data names no transaction.") from error


def fulfilment_of(packet: str, secret: str) -> str:
    """Make the fulfilment that only the holder of the secret can make, 43 characters of base64url.

    Of version 1 it is made of the packet's own text, of version 4 of the transaction in it.

    Raises:
        PacketError: it is no packet.
    """
    if _unb64(packet)[:1] == bytes([PREPARE_TYPE]):
        return _mac(base64.b64encode(parse_packet(packet).data), secret)
    return _mac(packet.encode("ascii"), secret)


def secret_for(packet: str, condition: str, secrets: Sequence[str]) -> str | None:
    """Return the secret that a quote was answered with; None where it was none of these.

    Args:
        packet: the quote's own.
        condition: the quote's own.
        secrets: the tenant's, newest first: an open quote outlives a change of secret.

    Raises:
        PacketError: it is no packet.
    """
    found = (secret for secret in secrets if fulfils(fulfilment_of(packet, secret), condition))
    return next(found, None)


def condition_of(fulfilment: str) -> str:
    """Return the condition that a fulfilment meets.

    Raises:
        PacketError: the fulfilment is not the base64url of 32 bytes.
    """
    raw = _unb64(fulfilment)
    if len(raw) != HASH_BYTES:
        raise PacketError(f"A fulfilment has {HASH_BYTES} bytes.")
    return _b64(hashlib.sha256(raw).digest()).decode()


def fulfils(fulfilment: str, condition: str) -> bool:
    """Tell whether a fulfilment meets a condition; nonsense meets none."""
    try:
        return hmac.compare_digest(condition_of(fulfilment), condition)
    except PacketError:
        return False


def secret_of(private_key_pem: str) -> str:
    """Derive a tenant's ILP secret from its signing key.

    A new signing key means a new secret: quotes that are open then can no longer be fulfilled and are
    refused, which is safe.
    """
    return hmac.new(private_key_pem.strip().encode(), b"payhub ilp secret 1", hashlib.sha256).hexdigest()


def _mac(text: bytes, secret: str) -> str:
    """Key and message are the base64 texts themselves, as Mojaloop's library has it."""
    key = base64.b64encode(secret.encode())
    return _b64(hmac.new(key, text, hashlib.sha256).digest()).decode()


def _expiry(expiration: str) -> bytes:
    return "".join(filter(str.isdigit, iso(parse_iso(expiration)))).encode()


def _expires_at_ms(text: bytes) -> int:
    try:
        at = datetime.strptime(text[:14].decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return int(at.timestamp()) * 1000 + int(text[14:].decode("ascii"))
    except ValueError as error:
        raise PacketError("The ILP packet's expiry is no time.") from error


def _octets(data: bytes) -> bytes:
    """Prefix a length in the octet encoding rules (ITU-T X.696): short, or 0x80 + bytes of length."""
    size = len(data)
    if size <= _SHORT_LENGTH_MAX:
        return bytes([size]) + data
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(length)]) + length + data


def _take_octets(data: bytes) -> tuple[bytes, bytes]:
    if not data:
        raise PacketError("The ILP packet ends early.")
    size, start = data[0], 1
    if size > _SHORT_LENGTH_MAX:
        count = size & 0x7F
        if not 0 < count <= _LENGTH_BYTES_MAX:
            raise PacketError("The ILP packet has a wrong length.")
        size, start = int.from_bytes(data[1 : 1 + count], "big"), 1 + count
    if len(data) < start + size:
        raise PacketError("The ILP packet ends early.")
    return data[start : start + size], data[start + size :]


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unb64(text: str) -> bytes:
    try:
        bare = text.encode("ascii").rstrip(b"=")
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise PacketError("It is not base64url.") from error
