"""All jobs of the payment processes that speak to the switch."""

from payhub_engines.connectors.job import Handler
from payhub_engines.connectors.mojaloop.client import FspiopClient
from payhub_engines.connectors.mojaloop.direct import DirectLine
from payhub_engines.connectors.mojaloop.jobs_again import AgainJobs
from payhub_engines.connectors.mojaloop.jobs_authorizations import AuthorizationJobs
from payhub_engines.connectors.mojaloop.jobs_bulk_payee import BulkPayeeJobs
from payhub_engines.connectors.mojaloop.jobs_bulk_payer import BulkPayerJobs
from payhub_engines.connectors.mojaloop.jobs_payee import PayeeJobs
from payhub_engines.connectors.mojaloop.jobs_payer import PayerJobs
from payhub_engines.connectors.mojaloop.jobs_registration import RegistrationJobs
from payhub_engines.connectors.mojaloop.jobs_requests import RequestJobs
from payhub_engines.connectors.mojaloop.jobs_sending import Sender
from payhub_engines.connectors.mojaloop.keys import KeyRing


class MojaloopJobs:
    """The jobs of both sides, with one client."""

    def __init__(self, client: FspiopClient, keys: KeyRing) -> None:
        sender = Sender(client, DirectLine(keys))
        self.payer = PayerJobs(sender)
        self.payee = PayeeJobs(sender, keys)
        self.requests = RequestJobs(sender)
        self.authorizations = AuthorizationJobs(sender, keys)
        self.again = AgainJobs(sender, keys)
        self.registration = RegistrationJobs(sender)
        self.bulk_payer = BulkPayerJobs(sender)
        self.bulk_payee = BulkPayeeJobs(sender, keys)

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {
            **self.payer.handlers(),
            **self.payee.handlers(),
            **self.requests.handlers(),
            **self.authorizations.handlers(),
            **self.again.handlers(),
            **self.registration.handlers(),
            **self.bulk_payer.handlers(),
            **self.bulk_payee.handlers(),
        }
