"""The core bank of each tenant, by the kind that its settings name, and whom its identifiers reach."""

from typing import Final

from payhub_engines.connectors.ams.contract import ContractBank
from payhub_engines.connectors.ams.decoding import is_path_step
from payhub_engines.connectors.ams.errors import AmsRefusalError
from payhub_engines.connectors.ams.fineract import FineractBank
from payhub_engines.connectors.ams.model import BankCall, CoreBank, Role
from payhub_engines.connectors.ams.refusals import not_found
from payhub_engines.connectors.ams.transport import BankTransport
from payhub_engines.connectors.expiring import ExpiringCache
from payhub_engines.connectors.http import HttpFactory
from payhub_platform.contracts.fspiop import PartyIdInfo

IDENTIFIERS_MAX: Final = 50_000  # of all tenants
IDENTIFIER_KEPT_MS: Final = 60_000  # how long a member's new phone number may reach the old account

_Key = tuple[str, str, str, str, str]


class CoreBanks:
    """All tenants' banks; one object for each engine process."""

    def __init__(self, http: HttpFactory) -> None:
        transport = BankTransport(http)
        self._kinds: dict[str, CoreBank] = {
            "fineract": FineractBank(transport),
            "contract": ContractBank(transport),
        }
        self._accounts = ExpiringCache[_Key, str](IDENTIFIERS_MAX, IDENTIFIER_KEPT_MS)

    def of(self, call: BankCall) -> CoreBank:
        """Return the bank of a call's tenant."""
        return self._kinds[call.connection.kind]

    async def account_of(self, call: BankCall, party: PartyIdInfo, role: Role) -> str:
        """Return the account of an identifier, as the bank said it a short while ago.

        Raises:
            AmsRefusalError: there is none; that is never remembered.
            JobFailedError: the bank could not tell.
        """
        # What no path can name is registered for nobody.
        if any(map(is_path_step, (party.party_identifier, party.party_sub_id_or_type or "-"))):
            raise AmsRefusalError(not_found(role))
        key = _key(call, party)
        known = self._accounts.get(key, call.context.clock())
        if known is None:
            known = await self.of(call).account_of(call, party, role)
            self._accounts.keep(key, known, call.context.clock())
        return known

    def forget(self, call: BankCall, party: PartyIdInfo) -> None:
        """Forget whom an identifier reaches: the bank does not know that account any more."""
        self._accounts.drop(_key(call, party))


def _key(call: BankCall, party: PartyIdInfo) -> _Key:
    return (
        call.tenant_id,
        call.connection.base_url,
        party.party_id_type,
        party.party_identifier,
        party.party_sub_id_or_type or "",
    )
