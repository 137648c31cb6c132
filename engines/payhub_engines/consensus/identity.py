"""Who a data folder belongs to, so that a replica never starts with another's journal, or without its own.

``replica.json`` says it. A member whose journal is gone must not start under the same name: it would
forget votes and acknowledgements that the others count on. The way out is a backup, or a new
replica under a new name.
"""

from typing import Final, Literal

import msgspec

from payhub_engines.consensus.disk import Disk
from payhub_engines.consensus.errors import ReplicaIdentityError

IDENTITY_NAME: Final = "replica.json"
_BYTES_MAX: Final = 64 * 1024


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of ``replica.json``."""

    format: Literal[1] = 1
    cluster: str
    replica: str
    is_member: bool  # False from the first start until the journal exists: nothing was acknowledged yet


def claim(disk: Disk, cluster: str, replica: str, *, has_journal: bool) -> Identity:
    """Check that the folder belongs to this replica; make it its own where it is empty.

    Raises:
        ReplicaIdentityError: it belongs to another (``replica-identity``), its journal is missing
            (``journal-missing``), or its identity is missing or unreadable (``identity-missing``).
    """
    mine = Identity(cluster=cluster, replica=replica, is_member=False)
    if IDENTITY_NAME not in disk.names():
        if has_journal:
            detail = f"There is a journal, but no {IDENTITY_NAME}: restore the folder from a backup."
            raise ReplicaIdentityError("identity-missing", detail)
        disk.replace(IDENTITY_NAME, msgspec.json.encode(mine))
        return mine
    found = _read(disk)
    if (found.cluster, found.replica) != (cluster, replica):
        detail = (
            f"The folder belongs to replica {found.replica} of {found.cluster}, "
            f"not to {replica} of {cluster}. Check the data folder's setting."
        )
        raise ReplicaIdentityError("replica-identity", detail)
    if found.is_member and not has_journal:
        detail = (
            "This replica has been a member, but its journal is gone: restore it from a backup, "
            "or replace the replica by one with a new name."
        )
        raise ReplicaIdentityError("journal-missing", detail)
    return found


def confirm(disk: Disk, identity: Identity) -> None:
    """Record that the journal exists; from now on it may not be missing."""
    if not identity.is_member:
        member = msgspec.structs.replace(identity, is_member=True)
        disk.replace(IDENTITY_NAME, msgspec.json.encode(member))


def _read(disk: Disk) -> Identity:
    try:
        return msgspec.json.decode(disk.read(IDENTITY_NAME, 0, _BYTES_MAX), type=Identity)
    except msgspec.DecodeError as error:
        detail = f"{IDENTITY_NAME} cannot be read: restore the folder from a backup."
        raise ReplicaIdentityError("identity-missing", detail) from error
