"""ILP packets of version 1, conditions and fulfilments as Mojaloop makes them (section 6.5.2.3)."""

import base64
import hashlib
import hmac
from typing import Any, Final

import msgspec

from payhub_platform.money import Money
from payhub_sandbox.switch.condition import condition_of, unpadded

_TYPE_PAYMENT: Final = b"\x01"
_NO_EXTENSIONS: Final = b"\x00"
_AMOUNT_BYTES: Final = 8
_SHORT_LENGTH_MAX: Final = 127


def packet(amount: Money, address: str, transaction: dict[str, Any]) -> str:
    """Return an ILP packet that carries a transaction, base64url without padding.

    Args:
        amount: what is transferred.
        address: of the payee, such as ``g.testbank.msisdn.254700900001``.
        transaction: the Transaction object (section 7.4.17).
    """
    data = base64.urlsafe_b64encode(msgspec.json.encode(transaction)).rstrip(b"=")
    body = (
        amount.minor.to_bytes(_AMOUNT_BYTES, "big")
        + _with_length(address.encode())
        + _with_length(data)
        + _NO_EXTENSIONS
    )
    return unpadded(_TYPE_PAYMENT + _with_length(body))


def fulfilment_of(secret: bytes, ilp_packet: str) -> str:
    """Return the fulfilment that only who knows the secret can derive."""
    return unpadded(_preimage(secret, ilp_packet))


def condition_for(secret: bytes, ilp_packet: str) -> str:
    """Return the condition that the fulfilment opens."""
    return condition_of(_preimage(secret, ilp_packet))


def _preimage(secret: bytes, ilp_packet: str) -> bytes:
    return hmac.new(base64.b64encode(secret), ilp_packet.encode(), hashlib.sha256).digest()


def _with_length(data: bytes) -> bytes:
    """Write octets with a length as OER does."""
    size = len(data)
    if size <= _SHORT_LENGTH_MAX:
        return bytes([size]) + data
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(length)]) + length + data
