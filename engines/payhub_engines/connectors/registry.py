"""Which connector does which job of the processes, and which messages the connectors publish."""

from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.jobs import AmsJobs
from payhub_engines.connectors.http import HttpFactory, SharedConnections
from payhub_engines.connectors.items import item_handlers
from payhub_engines.connectors.job import Handler
from payhub_engines.connectors.mojaloop.client import FspiopClient
from payhub_engines.connectors.mojaloop.ingress import MESSAGE_NAMES
from payhub_engines.connectors.mojaloop.jobs import MojaloopJobs
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.payment import DEVICE_AUTHORIZATION, PAYER_CONFIRMATION


def handlers(http: HttpFactory = SharedConnections) -> dict[str, Handler]:
    """Return every job type of the process files with what does it.

    Call it once per engine process: opened keys and the bounds on each core bank live as long as the result.

    Args:
        http: how to send with the context's connections; tests give another client.
    """
    keys = KeyRing()
    mojaloop = MojaloopJobs(FspiopClient(http, keys), keys)
    ams = AmsJobs(CoreBanks(http)).handlers()
    return {**mojaloop.handlers(), **ams, **item_handlers(ams)}


def message_names() -> frozenset[str]:
    """Return the name of every message that the connectors or the engine's API publish."""
    return MESSAGE_NAMES | {PAYER_CONFIRMATION, DEVICE_AUTHORIZATION}
