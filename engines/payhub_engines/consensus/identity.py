"""Who a data folder belongs to, and whether its replica may take part.

``replica.json`` says it. A member that has lost its journal has forgotten votes and acknowledgements that the
others count on: it must not come back under the same id. The others know, for each writes down whom it
has heard as a member before it counts anything of it; so an empty folder starts only once all of them have
said that its id is new to them. Lost replicas are replaced by new ids.

A new replica does not vote before it holds all that was committed when a leader of now had been elected.
Until then elections are decided by those who were there before, of whom a majority holds every
committed entry; hence one member may be replaced at a time, and replicas speak only to those who name
the same members. An id that was replaced never comes back.

The same holds for a replica in doubt, which had to cut off a last frame that may have been acknowledged.
Such a vote counts only in an election that all members have voted in, for then whoever still holds an
entry has voted too. So a group comes up again of which a majority is in doubt, once all are there.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from payhub_engines.consensus.disk import Disk
from payhub_engines.consensus.errors import ReplicaIdentityError
from payhub_engines.consensus.messages import Welcome

IDENTITY_NAME: Final = "replica.json"
_BYTES_MAX: Final = 64 * 1024


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of ``replica.json``; format 1 is that of groups of one."""

    format: Literal[1, 2] = 2
    cluster: str
    replica: str
    is_member: bool  # False from the first start until the journal exists: nothing was acknowledged yet
    members: list[str] = []  # ids of the whole group, sorted
    former: list[str] = []  # ids that were replaced
    known: list[str] = []  # peers that were heard as members
    can_vote: bool = True  # in any election, not only where all do
    doubts: int = 0  # how often this replica may have lost what it had acknowledged


class Membership:
    """A replica's place in its group, durable."""

    def __init__(self, disk: Disk, identity: Identity) -> None:
        self._disk = disk
        self._identity = identity
        self._welcomes: dict[str, Welcome] = {}

    @property
    def is_member(self) -> bool:
        """Whether this replica takes part; False until the others have said that its id is new."""
        return self._identity.is_member

    @property
    def can_vote(self) -> bool:
        """Whether this replica's vote counts like any other."""
        return self._identity.can_vote

    @property
    def doubts(self) -> int:
        """How often this replica may have lost what it had acknowledged."""
        return self._identity.doubts

    def doubt(self) -> None:
        """Record, durably and before it happens, that something acknowledged may be lost."""
        self._save(doubts=self._identity.doubts + 1, can_vote=False)

    def is_known(self, peer: str) -> bool:
        """Whether a peer was heard as a member."""
        return peer in self._identity.known

    def meet(self, peer: str) -> None:
        """Write down, durably, that a peer is a member; before anything it says is counted."""
        if peer not in self._identity.known:
            self._save(known=[*self._identity.known, peer])

    def join(self) -> None:
        """Record, durably, that the journal exists; from now on it may not be missing."""
        if not self._identity.is_member:
            self._save(is_member=True)

    def welcomed(self, peer: str, welcome: Welcome) -> bool:
        """Take a peer's word on an empty replica; return whether all have spoken, so that it may join.

        Raises:
            ReplicaIdentityError: ``replica-known``: it was a member before.
        """
        if self.is_member:
            return False
        if welcome.is_known:
            detail = (
                f"The folder is empty, but replica {peer} knows {self._identity.replica} as a member: "
                "bring its folder back, or replace it by a replica with a new id."
            )
            raise ReplicaIdentityError("replica-known", detail)
        self._welcomes[peer] = welcome
        if set(self._welcomes) != set(self._identity.members) - {self._identity.replica}:
            return False
        is_new_group = not any(each.has_history for each in self._welcomes.values())
        self._identity = msgspec.structs.replace(self._identity, can_vote=is_new_group)
        return True

    def allow_votes(self) -> None:
        """Record that this replica has caught up."""
        self._save(can_vote=True)

    def _save(self, **changes: object) -> None:
        self._identity = msgspec.structs.replace(self._identity, **changes)
        self._disk.replace(IDENTITY_NAME, msgspec.json.encode(self._identity))


def claim(disk: Disk, cluster: str, replica: str, members: Iterable[str], *, has_journal: bool) -> Membership:
    """Check that the folder belongs to this replica; make it its own where it is empty.

    Raises:
        ReplicaIdentityError: it belongs to another (``replica-identity``), its journal is missing
            (``journal-missing``), its identity is missing or unreadable (``identity-missing``), or the
            group has changed as it must not (``members-changed``).
    """
    ids = sorted(members)
    if IDENTITY_NAME not in disk.names():
        if has_journal:
            detail = f"There is a journal, but no {IDENTITY_NAME}: bring the whole folder back."
            raise ReplicaIdentityError("identity-missing", detail)
        mine = Identity(
            cluster=cluster, replica=replica, is_member=False, members=ids, can_vote=len(ids) == 1
        )
        disk.replace(IDENTITY_NAME, msgspec.json.encode(mine))
        return Membership(disk, mine)
    found = _read(disk)
    if (found.cluster, found.replica) != (cluster, replica):
        detail = (
            f"The folder belongs to replica {found.replica} of {found.cluster}, "
            f"not to {replica} of {cluster}. Check the data folder's setting."
        )
        raise ReplicaIdentityError("replica-identity", detail)
    if found.is_member and not has_journal:
        detail = (
            "This replica has been a member, but its journal is gone: bring it back, "
            "or replace the replica by one with a new id."
        )
        raise ReplicaIdentityError("journal-missing", detail)
    return Membership(disk, _with_members(disk, found, ids))


def _with_members(disk: Disk, found: Identity, ids: list[str]) -> Identity:
    before = found.members or [found.replica]
    if before == ids:
        return found
    if not found.is_member:
        changed = msgspec.structs.replace(found, format=2, members=ids, can_vote=len(ids) == 1)
    else:
        gone, new = sorted(set(before) - set(ids)), sorted(set(ids) - set(before))
        back = sorted(set(ids) & set(found.former))
        if back or len(gone) != 1 or len(new) != 1:
            detail = (
                f"The group was {', '.join(before)} and would be {', '.join(ids)}: one member may be "
                "replaced at a time, by an id that was never used. See docs/operating.md, a dead replica."
            )
            raise ReplicaIdentityError("members-changed", detail)
        known = [peer for peer in found.known if peer not in gone]
        changed = msgspec.structs.replace(
            found, format=2, members=ids, former=[*found.former, *gone], known=known
        )
    disk.replace(IDENTITY_NAME, msgspec.json.encode(changed))
    return changed


def _read(disk: Disk) -> Identity:
    try:
        return msgspec.json.decode(disk.read(IDENTITY_NAME, 0, _BYTES_MAX), type=Identity)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        detail = f"{IDENTITY_NAME} cannot be read: bring the whole folder back."
        raise ReplicaIdentityError("identity-missing", detail) from error
