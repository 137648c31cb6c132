"""Settings of the sandbox process."""

import msgspec

from payhub_sandbox.bank.service import FineractVersion
from payhub_sandbox.switch.climate import Climate
from payhub_sandbox.switch.signature import Algorithm
from payhub_sandbox.switch.voice import Manner


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from ``PAYHUB_HOST``, ``PAYHUB_PORT`` and so on.

    Attributes:
        host: address to listen on; the sandbox is meant for one machine.
        port: TCP port.
        quirks: whether the banks behave as Fineract really does, its known bugs included.
        fineract: which Fineract the banks are: ``1.8``, or ``current`` for 1.9 and later.
        forced_cases: whether the amounts and identifiers of docs/sandbox.md force errors and behaviours.
        residents: whether a test DFSP and a currency provider take part in the scheme.
        algorithm: with which the switch signs: ``ES256`` or ``RS256``.
        climate: what happens by chance to every message of the switch, as JSON.
        manner: how the switch says things, as JSON.
        log_level: name of a level of the standard library.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    quirks: bool = True
    fineract: FineractVersion = "current"
    forced_cases: bool = False
    residents: bool = False
    algorithm: Algorithm = "ES256"
    climate: Climate = Climate()
    manner: Manner = Manner()
    log_level: str = "INFO"
