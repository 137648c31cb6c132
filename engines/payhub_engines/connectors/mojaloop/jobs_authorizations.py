"""The jobs of payments that the payer authorizes with a one-time password at the payee's device."""

from typing import Any, Final

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Handler, Job
from payhub_engines.connectors.mojaloop.jobs_sending import Sender
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.mojaloop.one_time_password import is_right
from payhub_engines.connectors.mojaloop.outgoing import answer, ask_authorization
from payhub_engines.connectors.refusals import error_value
from payhub_engines.connectors.variables import (
    Authorization,
    AuthorizedPayment,
    DeviceAnswer,
    read,
)
from payhub_platform.contracts.fspiop import (
    AuthenticationInfo,
    AuthorizationQuestion,
    AuthorizationResponse,
)

OTP: Final = "OTP"


class AuthorizationJobs:
    """Handlers by job type; each does one thing and leaves the flow to the process."""

    def __init__(self, sender: Sender, keys: KeyRing) -> None:
        self._sender = sender
        self._keys = keys

    def handlers(self) -> dict[str, Handler]:
        """Return job type to handler."""
        return {
            "mojaloop-request-authorization": self.request_authorization,
            "mojaloop-check-authorization": self.check_authorization,
            "mojaloop-answer-authorization": self.answer_authorization,
        }

    async def request_authorization(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Ask for what the payer enters on the payee's device: GET /authorizations/{ID}."""
        payment = read(job, AuthorizedPayment)
        amount = payment.quote_terms.transfer_amount
        question = AuthorizationQuestion(
            authentication_type=OTP,
            retries_left=str(payment.passwords_left),
            amount=amount.amount,
            currency=amount.currency,
        )
        message = ask_authorization(payment.transaction_request_id, question, to=payment.payee_fsp)
        await self._sender.ask(job, context, message)
        return {}

    async def check_authorization(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell in ``confirmation`` what the payer decided: ACCEPTED, REJECTED, WRONG, or UNHEARD.

        Only the payee's institution speaks for its device. A device that could not ask says so with an error.
        """
        told = read(job, Authorization)
        if told.answered_by != told.payee_fsp:
            return {"confirmation": "UNHEARD", "error": None}
        refused = error_value(refusals.PAYER_REJECTION, "The payer does not authorize the payment.")
        response = told.authorization_response
        if told.error is not None or response is None or response.response_type == "REJECTED":
            error = refused if told.error is None else msgspec.to_builtins(told.error)
            return {"confirmation": "REJECTED", "error": error}
        info = response.authentication_info
        entered = info.authentication_value if info is not None else ""
        secret = self._keys.of(context.tenant(job.tenant), context.secrets).ilp_secret
        if isinstance(entered, str) and is_right(entered, told.transaction_id, secret):
            return {"confirmation": "ACCEPTED", "error": None}
        wrong = error_value(refusals.PAYER_PERMISSION, "The one-time password was wrong.")
        return {"confirmation": "WRONG", "error": wrong}

    async def answer_authorization(self, job: Job, context: ConnectorContext) -> dict[str, Any]:
        """Tell what the payer has entered on our device: PUT /authorizations/{ID}."""
        told = read(job, DeviceAnswer)
        entered = told.device_answer.password
        info = None
        if entered is not None:
            info = AuthenticationInfo(authentication=OTP, authentication_value=entered)
        body = AuthorizationResponse(response_type=told.device_answer.response_type, authentication_info=info)
        message = answer(body, told.transaction_request_id, to=told.payee_fsp)
        await self._sender.answer(job, context, message)
        return {}
