"""The four core banks and their members, the same at every start.

Every bank has five members in Kenyan shillings, reached by MSISDN ``2547 00<bank>00 00<member>``:

| bank | members | special |
|---|---|---|
| lion | 254700100001 to 5 | |
| buffalo | 254700200001 to 5 | the fifth has only 5.00 |
| rhino | 254700300001 to 5 | the fifth is BLOCK_CREDIT: it can be looked up, but not credited |
| elephant | 254700400001 to 5 | |

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


class BankSeed(msgspec.Struct, frozen=True, kw_only=True):
    """A core bank with its API credentials."""

    fsp_id: str
    platform_tenant: str
    username: str
    password: str
    currency: str
    members: tuple[MemberSeed, ...]


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


BANKS: Final = tuple(
    BankSeed(
        fsp_id=fsp_id,
        platform_tenant=fsp_id,
        username=API_USER,
        password=f"{fsp_id}-sandbox",
        currency=CURRENCY,
        members=_members(fsp_id, bank_number),
    )
    for bank_number, fsp_id in enumerate(_NAMES, start=1)
)
