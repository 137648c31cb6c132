"""Load that never stops: payments through the gateway and at a replica, each followed to its end."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from support.house import House

from payhub_cli.demo.story import PAYER_FSP, PlannedPayment
from payhub_platform.contracts.channel import PartyIdInfo, TransferStatus
from payhub_platform.contracts.engine import HEADER_EPOCH, HEADER_TENANT, PATH_PAYMENTS, StartPayment
from payhub_platform.security.internal import internal_headers

LANES = 3  # of each kind: so many payments are under way at once
PAUSE_S = 0.1
ENOUGH = 5  # payments that a part of a test takes
WAIT_S = 40.0
_ACCEPTED = 202
_OK = 200


class Load:
    """Some lanes are a channel at the gateway, the others ask a replica of ``north`` directly.

    Each request, whether it pays or asks how a payment stands, is sent once: what fails has failed.

    Attributes:
        at: the replica that is asked directly.
        failed: answers that were neither 200 nor 202, and connections that broke.
        planned: payments that have ended.
        statuses: how each of them did.
    """

    def __init__(self, house: House, at: str) -> None:
        self._house = house
        self.at = at
        self.is_stopping = False
        self.failed: list[str] = []
        self.planned: list[PlannedPayment] = []
        self.statuses: list[TransferStatus] = []
        self._engine = {
            **internal_headers(house.installation.around.secrets.internal_token),
            HEADER_TENANT: PAYER_FSP,
            HEADER_EPOCH: "1",
        }

    async def through_gateway(self) -> None:
        """Pay one after the other as a channel."""
        while not self.is_stopping:
            [planned] = self._house.plan(1, "rhino")
            body = {
                "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": planned.payer}},
                "payee": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": planned.payee}},
                "amount": {"amount": planned.amount.decimal_text(), "currency": planned.amount.currency},
            }
            headers = self._house.channel.headers
            keyed = {**headers, "X-CorrelationID": planned.key}
            accepted = await self._ask("POST", self._gateway_url(""), _ACCEPTED, keyed, body)
            while accepted is not None:
                url = self._gateway_url("/" + accepted["transactionId"])
                if await self._is_over(planned, url, headers):
                    break

    async def at_replica(self) -> None:
        """Pay one after the other as the gateway does, at one replica."""
        while not self.is_stopping:
            [planned] = self._house.plan(1, "lion")
            start = StartPayment(
                payment_id=str(uuid.uuid4()),
                idempotency_key=planned.key,
                fingerprint=planned.key,
                client_id="direct",
                payer=PartyIdInfo(party_id_type="MSISDN", party_identifier=planned.payer),
                payee=PartyIdInfo(party_id_type="MSISDN", party_identifier=planned.payee),
                amount=planned.amount,
            )
            accepted = await self._ask("POST", self._replica_url(""), _ACCEPTED, self._engine, start)
            while accepted is not None:
                url = self._replica_url("/" + start.payment_id)
                if await self._is_over(planned, url, self._engine):
                    break

    async def some_more(self) -> None:
        """Wait until some more payments have ended, or something has failed."""
        async with asyncio.timeout(WAIT_S):
            enough = len(self.statuses) + ENOUGH
            while len(self.statuses) < enough and not self.failed:
                await asyncio.sleep(PAUSE_S)

    async def _is_over(self, planned: PlannedPayment, url: str, headers: dict[str, str]) -> bool:
        await asyncio.sleep(PAUSE_S)
        told = await self._ask("GET", url, _OK, headers)
        if told is None:
            return False
        status = msgspec.convert(told, TransferStatus)
        if status.state == "PENDING":
            return False
        self.planned.append(planned)
        self.statuses.append(status)
        return True

    async def _ask(
        self, method: str, url: str, wanted: int, headers: dict[str, str], body: Any = None
    ) -> Any | None:
        content = None if body is None else msgspec.json.encode(body)
        sent = {**headers, "Content-Type": "application/json"}
        try:
            async with self._house.session.request(method, url, data=content, headers=sent) as answer:
                told = await answer.read()
        except OSError as error:
            self.failed.append(f"{method} {url}: {error!r}")
            return None
        if answer.status == wanted:
            return msgspec.json.decode(told)
        self.failed.append(f"{method} {url}: {answer.status} {told!r}")
        return None

    def _gateway_url(self, path: str) -> str:
        return f"{self._house.gateway.base_url}/channel/transfer{path}"

    def _replica_url(self, path: str) -> str:
        return self._house.installation.around.replica_urls("north")[self.at] + PATH_PAYMENTS + path


@contextlib.asynccontextmanager
async def continuous_load(house: House, at: str) -> AsyncIterator[Load]:
    """Pay for the length of a block; what was begun is over behind it."""
    load = Load(house, at)
    kinds = (load.through_gateway, load.at_replica)
    lanes = [asyncio.create_task(kind()) for kind in kinds for _ in range(LANES)]
    try:
        yield load
    finally:
        # Not cancelled: a payment that is being sent would move money that nobody counts.
        load.is_stopping = True
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*lanes)
