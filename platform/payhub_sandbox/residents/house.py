"""Moves the residents into the switch: their participants, keys, positions and members."""

from typing import Final

import msgspec

from payhub_platform.clock import Clock
from payhub_sandbox.residents.counterparty import Counterparty
from payhub_sandbox.residents.member import CURRENCIES
from payhub_sandbox.residents.provider import Provider
from payhub_sandbox.switch.participants import Registration
from payhub_sandbox.switch.service import SwitchService
from payhub_sandbox.switch.signature import Algorithm, new_private_key_pem

NET_DEBIT_CAP: Final = "1000000000"
NOWHERE: Final = "http://resident.invalid"  # never called: residents are told without sockets


class Residents(msgspec.Struct, frozen=True):
    """The residents of one switch."""

    dfsp: Counterparty
    provider: Provider


def move_in(switch: SwitchService, clock: Clock, algorithm: Algorithm) -> Residents:
    """Make the residents, register them, and let the switch deliver to them."""
    dfsp = Counterparty(new_private_key_pem(algorithm), clock)
    provider = Provider(new_private_key_pem(algorithm), clock)
    participants = switch.hub.context.participants
    for resident in (dfsp, provider):
        for currency in CURRENCIES:
            participants.register(
                Registration(
                    fsp_id=resident.fsp_id,
                    currency=currency,
                    callback_urls=[NOWHERE],
                    public_key_pem=resident.speaker.public_key_pem,
                    net_debit_cap=NET_DEBIT_CAP,
                )
            )
        switch.house(resident)
    for message in dfsp.registrations():
        switch.hub.receive(message)  # the answers go nowhere: there is nobody to tell yet
    return Residents(dfsp, provider)
