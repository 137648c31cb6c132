"""The one account that an examination may use, and what its bank says of it."""

from payhub_cli.ams.exam import Books, Desk, WrongError, require
from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.model import Account, CoreBank
from payhub_engines.connectors.ams.refusals import account_fault
from payhub_platform.contracts.fspiop import PartyIdInfo
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money

MONEY_NEEDED: int = 4  # times the amount, with fees: so much is held at once at most


class ExaminedAccount:
    """The account behind the identifier given; its books before, and what is left to put back."""

    def __init__(self, desk: Desk, banks: CoreBanks, party: PartyIdInfo, amount: str) -> None:
        self._desk = desk
        self._bank: CoreBank = banks.of(desk.call)
        self._amount_text = amount
        self.party = party
        self.id = ""
        self.before: Books | None = None
        self.amount = Money(0, "")  # of no currency before the account is known
        self.fee = Money(0, "")  # of no currency before the account is known

    @property
    def total(self) -> Money:
        """Amount and fee."""
        return Money(self.amount.minor + self.fee.minor, self.amount.currency)

    async def find(self) -> None:
        """Find the account by its identifier."""
        self._note(f"GET account of {self.party.party_id_type}/{self.party.party_identifier}")
        self.id = await self._bank.account_of(self._desk.call, self.party, "PAYER")
        self._desk.came.append(f"account {self.id}")

    async def usable(self) -> None:
        """Check that the account can be used, and keep its books as they are now."""
        told = await self._told()
        fault = account_fault(told, "PAYER", told.currency) or account_fault(told, "PAYEE", told.currency)
        require(fault is None, fault.description if fault else "")
        self.before = self._books(told)
        try:
            self.amount = Money.parse(self._amount_text, told.currency)
        except InvalidInputError as error:
            raise WrongError(f"--amount {self._amount_text}: {error.detail}") from error
        self.fee = Money(0, told.currency)
        enough = self.before.available.minor >= MONEY_NEEDED * self.amount.minor
        require(
            enough, f"the account needs {MONEY_NEEDED} times {self.amount}; it has {self.before.available}"
        )

    async def tell_fee(self, quote_id: str) -> None:
        """Ask, as payhub does, what the bank will take besides the amount."""
        self._note("the fee, as payhub asks for it")
        self.fee = await self._bank.fee(self._desk.call, self.id, "PAYER", self.amount, quote_id)
        self._desk.came.append(f"fee {self.fee}")

    async def books(self) -> Books:
        """Return the account's books now."""
        return self._books(await self._told())

    async def require_books(self, wanted: Books) -> None:
        """Check that the books are as they should be."""
        now = await self.books()
        require(now == wanted, f"the account has {now}; it should have {wanted}")

    async def _told(self) -> Account:
        self._note(f"GET account {self.id}")
        told = await self._bank.account(self._desk.call, self.id, "PAYER")
        self._desk.came.append(
            f"{told.status} {told.currency}, balance {told.balance}, available {told.available}"
        )
        return told

    def _note(self, sent: str) -> None:
        self._desk.sent.append(sent)

    @staticmethod
    def _books(told: Account) -> Books:
        if told.balance is None or told.available is None:
            raise WrongError("the account's balances are not told, or not exactly")
        return Books(told.balance, told.available)
