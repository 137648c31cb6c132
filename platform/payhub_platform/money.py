"""Money is an integer count of minor units with its ISO 4217 currency, never a float."""

import re
from decimal import Decimal
from typing import Final, Self

import msgspec

from payhub_platform.errors import InvalidInputError

EXPONENT_DEFAULT: Final = 2
MINOR_DIGITS_MAX: Final = 18  # what keeps amounts (log, PostgreSQL) holds 64-bit integers

# ISO 4217 minor units. Only what differs from two decimals is listed; CURRENCIES holds the codes.
_EXPONENTS: Final = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),
        0,
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW XTS".split(), 4),
}
CURRENCIES: Final = frozenset(
    (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN "
        "BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR "
        "FJD FKP GBP GEL GGP GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS IMP INR IQD IRR "
        "ISK JEP JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL "
        "MGA MKD MMK MNT MOP MRO MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK "
        "PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLL SOS SRD STD SVC SYP "
        "SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VEF VND VUV WST XAF XCD XOF "
        "XPF XTS YER ZAR ZMW ZWD"
    ).split()
)

# Plain decimal notation: no sign, no exponent, no leading zeros. Trailing zeros are a channel's habit.
_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)


class Money(msgspec.Struct, frozen=True, order=True):
    """An amount in minor units of a currency: ``Money(1050, "KES")`` is 10.50 Kenyan shillings."""

    minor: int
    currency: str

    @classmethod
    def parse(cls, amount: str, currency: str, *, where: str = "/amount") -> Self:
        """Read a decimal string such as ``"10.5"``.

        Args:
            amount: plain decimal notation, at most as many decimals as the currency has.
            currency: three-letter ISO 4217 code that FSPIOP 1.1 lists.
            where: JSON pointer of the money object, for the refusal.

        Raises:
            InvalidInputError: with code ``unknown-currency``, ``invalid-amount`` or ``too-many-decimals``.
        """
        if currency not in CURRENCIES:
            raise InvalidInputError(
                "unknown-currency",
                f"{currency!r} is no currency payhub knows.",
                f"{where}/currency",
            )
        matched = _DECIMAL.fullmatch(amount)
        exponent = exponent_of(currency)
        if matched is None or len(matched[1]) + exponent > MINOR_DIGITS_MAX:
            raise InvalidInputError(
                "invalid-amount",
                f"The amount must be a plain decimal number such as 10.50, of at most "
                f"{MINOR_DIGITS_MAX - exponent} digits before the point.",
                f"{where}/amount",
            )
        decimals = matched[2] or ""
        if len(decimals) > exponent:
            raise InvalidInputError(
                "too-many-decimals",
                f"{currency} has {exponent} decimals; the amount has {len(decimals)}.",
                f"{where}/amount",
            )
        return cls(int(matched[1] + decimals.ljust(exponent, "0")), currency)

    def __str__(self) -> str:
        return f"{self.decimal_text()} {self.currency}"

    def decimal_text(self) -> str:
        """Write the amount with all decimals of its currency, for people: ``"10.50"``."""
        exponent = exponent_of(self.currency)
        sign, digits = (
            ("-" if self.minor < 0 else ""),
            str(abs(self.minor)).rjust(exponent + 1, "0"),
        )
        return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else sign + digits

    def fspiop_text(self) -> str:
        """Write the amount as FSPIOP's Amount: no trailing zeros (FSPIOP 1.1 section 7.2.13)."""
        text = self.decimal_text()
        return text.rstrip("0").rstrip(".") if "." in text else text

    def decimal(self) -> Decimal:
        """Return the amount in major units, exactly."""
        return Decimal(self.minor).scaleb(-exponent_of(self.currency))


def exponent_of(currency: str) -> int:
    """Return how many decimals a currency has (ISO 4217)."""
    return _EXPONENTS.get(currency, EXPONENT_DEFAULT)
