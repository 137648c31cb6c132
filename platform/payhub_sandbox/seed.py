"""The four core banks and their members, the same at every start.

Every bank has five members in Kenyan shillings, reached by MSISDN ``2547 00<bank>00 00<member>``:

| bank | members | special |
|---|---|---|
| lion | 254700100001 to 5 | |
| buffalo | 254700200001 to 5 | the fifth has only 5.00 |
| rhino | 254700300001 to 5 | the fifth is BLOCK_CREDIT: it can be looked up, but not credited |
| elephant | 254700400001 to 5 | |

Each bank has a merchant with two tills, an agent with a float, and an account of each kind of fee, reached by
BUSINESS ``<bank>-shop/till-1`` and so on, and two loans ``<BANK>-LOAN-1`` and 2.

All others start with 10,000.00. Account ids are ``<BANK>-000001`` to 5. A bank's platform tenant is its
FSP id, its API user ``payhub`` and the password ``<fsp id>-sandbox``.
"""

from typing import Final

import msgspec

from payhub_sandbox.bank.account import SubStatus

CURRENCY: Final = "KES"
OPENING_BALANCE: Final = "10000.00"
NEARLY_EMPTY_BALANCE: Final = "5.00"
API_USER: Final = "payhub"


class MemberSeed(msgspec.Struct, frozen=True, kw_only=True):
    """A member with a savings account and an MSISDN."""

    account_id: str
    name: str
    msisdn: str
    balance: str = OPENING_BALANCE  # decimal text in major units
    sub_status: SubStatus = "NONE"


class BusinessSeed(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant's till, an agent's float, or an account with fees; reached by BUSINESS and a sub-id."""

    account_id: str
    name: str
    business_id: str
    till: str
    balance: str = OPENING_BALANCE  # decimal text in major units
    withdrawal_fee: str = "0"  # decimal text in major units
    fee_is_quoted: bool = False


class LoanSeed(msgspec.Struct, frozen=True, kw_only=True):
    """A member's loan."""

    account_no: str
    name: str
    principal: str  # decimal text in major units


class BankSeed(msgspec.Struct, frozen=True, kw_only=True):
    """A core bank with its API credentials."""

    fsp_id: str
    platform_tenant: str
    username: str
    password: str
    currency: str
    members: tuple[MemberSeed, ...]
    businesses: tuple[BusinessSeed, ...] = ()
    loans: tuple[LoanSeed, ...] = ()


_NAMES: Final = {
    "lion": ("Amina Odhiambo", "Brian Kiprono", "Caroline Wanjiku", "Daniel Mutua", "Esther Achieng"),
    "buffalo": ("Faith Njeri", "George Otieno", "Hannah Chebet", "Ibrahim Hassan", "Joyce Mwikali"),
    "rhino": ("Kevin Barasa", "Lydia Nyambura", "Moses Kipchoge", "Naomi Atieno", "Omar Abdi"),
    "elephant": ("Purity Kendi", "Quincy Ouma", "Ruth Jepkosgei", "Samuel Kariuki", "Tabitha Moraa"),
}
_BALANCES: Final = {"BUFFALO-000005": NEARLY_EMPTY_BALANCE}
_SUB_STATUSES: Final[dict[str, SubStatus]] = {"RHINO-000005": "BLOCK_CREDIT"}


def _members(fsp_id: str, bank_number: int) -> tuple[MemberSeed, ...]:
    members = []
    for number, name in enumerate(_NAMES[fsp_id], start=1):
        account_id = f"{fsp_id.upper()}-{number:06d}"
        members.append(
            MemberSeed(
                account_id=account_id,
                name=name,
                msisdn=f"254700{bank_number}{number:05d}",
                balance=_BALANCES.get(account_id, OPENING_BALANCE),
                sub_status=_SUB_STATUSES.get(account_id, "NONE"),
            )
        )
    return tuple(members)


def _businesses(fsp_id: str) -> tuple[BusinessSeed, ...]:
    name, upper = fsp_id.capitalize(), fsp_id.upper()
    shop, agent, fees = f"{fsp_id}-shop", f"{fsp_id}-agency", f"{fsp_id}-fees"
    rows = (
        (101, f"{name} Stores", shop, "till-1", "0", "0", False),
        (102, f"{name} Stores", shop, "till-2", "0", "0", False),
        (103, f"{name} Agency", agent, "float-1", "50000.00", "0", False),
        (104, f"{name} Trading", fees, "quoted", OPENING_BALANCE, "10.00", True),
        (105, f"{name} Trading", fees, "unquoted", OPENING_BALANCE, "10.00", False),
    )
    return tuple(
        BusinessSeed(
            account_id=f"{upper}-{number:06d}",
            name=full_name,
            business_id=business_id,
            till=till,
            balance=balance,
            withdrawal_fee=fee,
            fee_is_quoted=quoted,
        )
        for number, full_name, business_id, till, balance, fee, quoted in rows
    )


def _loans(fsp_id: str) -> tuple[LoanSeed, ...]:
    return tuple(
        LoanSeed(account_no=f"{fsp_id.upper()}-LOAN-{number}", name=name, principal="5000.00")
        for number, name in enumerate(_NAMES[fsp_id][:2], start=1)
    )


BANKS: Final = tuple(
    BankSeed(
        fsp_id=fsp_id,
        platform_tenant=fsp_id,
        username=API_USER,
        password=f"{fsp_id}-sandbox",
        currency=CURRENCY,
        members=_members(fsp_id, bank_number),
        businesses=_businesses(fsp_id),
        loans=_loans(fsp_id),
    )
    for bank_number, fsp_id in enumerate(_NAMES, start=1)
)
