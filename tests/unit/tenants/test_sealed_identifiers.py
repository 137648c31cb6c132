"""Members' identifiers are sealed in the store, found by a keyed hash, and gone with the tenant's key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import AsyncTestClient
from msgspec.structs import replace
from unit.tenants.tenants_kit import Plane, create_request, identifier

from payhub_platform.security.secrets import SealError, SecretBox
from payhub_tenants.identifiers.book import IdentifierBook, seal_identifiers
from payhub_tenants.identifiers.cipher import IdentifierCipher
from payhub_tenants.identifiers.model import PartyIdentifier
from payhub_tenants.proof import prove
from payhub_tenants.vault import KeyDestroyedError

Api = AsyncTestClient[Litestar]
BASE = "/v1/tenants/buffalo"
TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
ROW = PartyIdentifier(
    tenant_id="buffalo",
    type="MSISDN",
    value="254700200001",
    sub_id="",
    account_id="B-1",
    state="registered",
    reason="",
    attempted_at_ms=7,
)


def cipher(tenant: str = "buffalo") -> IdentifierCipher:
    return IdentifierCipher(tenant, SecretBox.new_key())


@given(TEXT, TEXT, TEXT)
def test_a_row_tells_nothing_and_opens_as_it_was(value: str, sub_id: str, account: str):
    one = cipher()
    row = replace(ROW, value=value, sub_id=sub_id, account_id=account)
    sealed = one.seal(row)
    assert one.open(sealed) == row
    again = one.seal(row)
    assert (again.lookup, again.account_lookup) == (sealed.lookup, sealed.account_lookup)
    assert again.content_sealed != sealed.content_sealed
    other = cipher().seal(row)
    assert {other.lookup, other.account_lookup} & {sealed.lookup, sealed.account_lookup} == set()
    with pytest.raises(SealError):
        one.open(other)


@given(TEXT, TEXT, TEXT, TEXT)
def test_two_identifiers_are_never_found_under_one_hash(value: str, sub_id: str, more: str, sub_more: str):
    one = cipher()
    keys = {("buffalo", "MSISDN", value, sub_id), ("buffalo", "MSISDN", more, sub_more)}
    assert len({one.lookup(key) for key in keys}) == len(keys)


def test_contents_cannot_change_places():
    one = cipher()
    first, second = one.seal(ROW), one.seal(replace(ROW, value="254700200002", account_id="B-2"))
    with pytest.raises(SealError):
        one.open(replace(first, content_sealed=second.content_sealed))


async def onboarded(api: Api) -> None:
    await api.post("/v1/tenants", json=create_request())
    body = {"identifiers": [identifier(), identifier("254700200002", "B-2")]}
    assert (await api.post(f"{BASE}/party-identifiers", json=body)).status_code == 200


async def test_nothing_of_a_member_stands_in_the_store(api: Api, plane: Plane):
    await onboarded(api)
    kept = str(plane.store.kept)
    for text in ("254700200001", "B-1", "254700200002", "B-2"):
        assert text not in kept
    export = (await api.get(f"{BASE}/export")).json()["partyIdentifiers"]
    assert [(each["value"], each["account_id"]) for each in export] == [
        ("254700200001", "B-1"), ("254700200002", "B-2"),
    ]  # fmt: skip
    found = await api.get(f"{BASE}/party-identifiers/MSISDN/254700200002")
    assert found.json()["accountId"] == "B-2"


async def test_a_copy_of_the_rows_is_worth_nothing_without_the_key(api: Api, plane: Plane):
    await onboarded(api)
    proof = await prove(plane.store, plane.vault, "buffalo")
    assert "identifier-key" in proof.readable
    await plane.vault.destroy("buffalo")
    book = IdentifierBook(plane.vault, plane.clock)
    async with plane.store.transaction("buffalo") as transaction:
        assert len(transaction.identifiers.rows) == 2
        with pytest.raises(KeyDestroyedError):
            await book.opened(transaction, "buffalo")
        assert await book.readable(transaction, "buffalo") is None
    view = (await api.get(BASE)).json()
    assert (view["partyIdentifiers"], view["partyIdentifierCounts"]["registered"]) == ([], 2)
    assert (await api.get(f"{BASE}/export")).json()["partyIdentifiers"] == []
    assert (await api.get(f"{BASE}/party-identifiers/MSISDN/254700200002")).status_code == 404
    assert (await prove(plane.store, plane.vault, "buffalo")).readable == []


async def test_rows_of_an_earlier_release_are_sealed_when_the_process_starts(api: Api, plane: Plane):
    await onboarded(api)
    old = [replace(ROW, value=f"2547003{number:05d}", account_id=f"O-{number}") for number in range(1_200)]
    moved = replace(ROW, account_id="B-9")  # it was registered anew since, for another account
    for row in [*old, moved]:
        plane.store.kept.identifiers.clear[row.key] = row
    book = IdentifierBook(plane.vault, plane.clock)
    for _ in range(2):
        await seal_identifiers(plane.store, book)
    assert plane.store.kept.identifiers.clear == {}
    assert (await api.get(BASE)).json()["partyIdentifierCounts"]["registered"] == 1_202
    for value, account in (("254700300007", "O-7"), ("254700200001", "B-1")):
        found = (await api.get(f"{BASE}/party-identifiers/MSISDN/{value}")).json()
        assert found["accountId"] == account
