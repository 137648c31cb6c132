"""A channel of the paying institution: gets a token, sends payments, asks until they have ended."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey

from payhub_cli.demo.client import Api
from payhub_cli.demo.errors import DemoError
from payhub_cli.demo.story import PlannedPayment
from payhub_platform.contracts.channel import TransferStatus

CLIENT_ID: Final = "buffalo-mobile"
SENT_AT_ONCE_MAX: Final = 10
FINAL_WAIT_S: Final = 60.0
POLL_S: Final = 0.1
TOKEN_WAIT_S: Final = 20.0
ASSERTION_LIFETIME_S: Final = 60
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_OK: Final = 200


class Channel:
    """An OAuth2 client with its own key (ES256).

    Attributes:
        client_id: as the aggregator registered it.
        headers: what each of its requests carries once it has a token.
    """

    def __init__(self, gateway: Api, client_id: str = CLIENT_ID) -> None:
        """Make a key; ``gateway`` is the gateway's HTTP interface, whose base URL is the issuer."""
        self._gateway = gateway
        self._key = ECKey.generate_key("P-256", private=True)
        self.client_id = client_id
        self.headers: dict[str, str] = {}

    def at(self, gateway: Api) -> "Channel":
        """Return the same client, without its token, that speaks through another interface."""
        other = Channel(gateway, self.client_id)
        other._key = self._key
        return other

    def public_keys(self) -> dict[str, Any]:
        """Return the JWK set that the aggregator registers."""
        return {"keys": [self._key.as_dict(private=False)]}

    async def authenticate(self, scopes: Sequence[str] = ()) -> None:
        """Get an access token with private_key_jwt (RFC 7523); wait until the gateway knows us.

        Args:
            scopes: those that are wanted, where payments alone are not enough.

        Raises:
            DemoError: the gateway gave none in time.
        """
        deadline = time.monotonic() + TOKEN_WAIT_S
        while True:
            form = {
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": self._assertion(),
                "scope": " ".join(scopes),
            }
            status, answer = await self._gateway.form("/oauth2/token", form)
            if status == _OK:
                self.headers = {"Authorization": f"{answer['token_type']} {answer['access_token']}"}
                return
            if time.monotonic() > deadline:
                raise DemoError(f"The gateway gave no token: {answer}")
            await asyncio.sleep(POLL_S)

    async def pay_all(
        self, planned: list[PlannedPayment], on_final: Callable[[], None]
    ) -> list[TransferStatus]:
        """Send payments, a bounded number at once, and return their final states in the same order."""
        free = asyncio.Semaphore(SENT_AT_ONCE_MAX)

        async def pay(payment: PlannedPayment) -> TransferStatus:
            async with free:
                accepted = await self._gateway.post(
                    "/channel/transfer", _request(payment), {**self.headers, "X-CorrelationID": payment.key}
                )
            status = await self._final(accepted["transactionId"])
            on_final()
            return status

        return list(await asyncio.gather(*(pay(payment) for payment in planned)))

    async def _final(self, transaction_id: str) -> TransferStatus:
        api = self._gateway.with_headers(self.headers)
        deadline = time.monotonic() + FINAL_WAIT_S
        while True:
            answer = await api.get(f"/channel/transfer/{transaction_id}")
            status = msgspec.convert(answer, TransferStatus)
            if status.state != "PENDING" or time.monotonic() > deadline:
                return status
            await asyncio.sleep(POLL_S)

    def _assertion(self) -> str:
        now_s = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self._gateway.base_url,
            "iat": now_s,
            "exp": now_s + ASSERTION_LIFETIME_S,
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode({"alg": "ES256"}, claims, self._key)


def _request(payment: PlannedPayment) -> dict[str, Any]:
    return {
        "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": payment.payer}},
        "payee": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": payment.payee}},
        "amount": {"amount": payment.amount.decimal_text(), "currency": payment.amount.currency},
    }
