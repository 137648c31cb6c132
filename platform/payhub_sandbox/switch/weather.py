"""Bad weather on purpose, for one payee identifier at a time."""

from collections import OrderedDict
from typing import Annotated, Final

import msgspec

from payhub_platform.errors import UnavailableError

RULES_MAX: Final = 1_000
REMEMBERED_MAX: Final = 100_000
DELAY_MS_MAX: Final = 120_000

_Delay = Annotated[int, msgspec.Meta(ge=0, le=DELAY_MS_MAX)]


class Rule(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """What goes wrong for payments to one identifier.

    Attributes:
        payee_identifier: such as an MSISDN.
        delay_quote_ms: how long the payee's quote is held back on its way to the payer.
        drop_transfer_fulfil_times: how many fulfils of the switch to the payer get lost; the transfer
            is committed all the same, and GET /transfers/{ID} tells so.
        duplicate_callbacks: every message of the payment after the look-up is delivered twice.
        delay_transfer_ms: how long a prepared transfer is held back on its way to the payee.
    """

    payee_identifier: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    delay_quote_ms: _Delay = 0
    drop_transfer_fulfil_times: Annotated[int, msgspec.Meta(ge=0)] = 0
    duplicate_callbacks: bool = False
    delay_transfer_ms: _Delay = 0


FAIR: Final = Rule(payee_identifier="-")


class Weather:
    """Rules by payee identifier; a quote id or a condition finds the identifier again."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._drops_left: dict[str, int] = {}
        self._identifiers: OrderedDict[str, str] = OrderedDict()

    def set_rule(self, rule: Rule) -> None:
        """Add or replace the rule of an identifier.

        Raises:
            UnavailableError: there are as many rules as the sandbox can hold.
        """
        if rule.payee_identifier not in self._rules and len(self._rules) >= RULES_MAX:
            raise UnavailableError("too-many-rules", f"At most {RULES_MAX} rules.")
        self._rules[rule.payee_identifier] = rule
        self._drops_left[rule.payee_identifier] = rule.drop_transfer_fulfil_times

    def rules(self) -> list[Rule]:
        """Return all rules."""
        return list(self._rules.values())

    def remember(self, key: str, identifier: str) -> None:
        """Remember which payee identifier a quote id or condition is about."""
        self._identifiers[key] = identifier
        if len(self._identifiers) > REMEMBERED_MAX:
            self._identifiers.popitem(last=False)

    def identifier(self, key: str) -> str:
        """Return the payee identifier of a quote id or condition, or an empty text."""
        return self._identifiers.get(key, "")

    def rule_for(self, identifier: str) -> Rule:
        """Return the rule of an identifier, or fair weather."""
        return self._rules.get(identifier, FAIR)

    def take_drop(self, identifier: str) -> bool:
        """Tell whether this fulfil gets lost, and count it."""
        left = self._drops_left.get(identifier, 0)
        if left:
            self._drops_left[identifier] = left - 1
        return left > 0
