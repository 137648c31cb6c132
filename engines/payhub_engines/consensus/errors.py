"""What can go wrong with the log. Refusals may be tried again; a ``ConsensusError`` stops the replica."""

from typing import Final

from payhub_platform.errors import PayhubError, UnavailableError

RESTORE_HINT: Final = (
    "Keep the folder. In a group, replace this replica by one with a new id and an empty folder, which the "
    "others rebuild; an engine of one replica is restored from a backup."
)


class LogUnavailableError(UnavailableError):
    """The log does not take entries now; another replica, or this one later, may."""


class NotLeaderError(LogUnavailableError):
    """This replica does not lead, or does not know yet that it does; nothing was done."""

    def __init__(self, detail: str = "This replica does not lead its group.") -> None:
        super().__init__("not-leader", detail)


class OutcomeUnknownError(LogUnavailableError):
    """Leadership was lost before the entry was committed: it may or may not take effect."""

    def __init__(self) -> None:
        super().__init__("outcome-unknown", "Leadership was lost; whether the entry was kept is unknown.")


class LogFullError(LogUnavailableError):
    """More entries wait than the log takes; nothing was written."""

    def __init__(self) -> None:
        super().__init__("log-full", "The log has too much to write; try again shortly.")


class LogStoppedError(LogUnavailableError):
    """The log was stopped, or failed; what still waited may or may not take effect."""

    def __init__(self, detail: str = "The log is stopped.") -> None:
        super().__init__("log-stopped", detail)


class EntryTooLargeError(PayhubError):
    """An entry is larger than the log takes; nothing was written."""

    status = 413
    title = "The entry is too large"

    def __init__(self, size: int, size_max: int) -> None:
        super().__init__("entry-too-large", f"The entry has {size} bytes; the log takes {size_max}.")


class EntriesTrimmedError(PayhubError):
    """Somebody asks for entries that the log has forgotten: there would be a gap."""

    status = 410
    title = "The entries are gone"

    def __init__(self, from_index: int, first_index: int) -> None:
        super().__init__("entries-trimmed", f"Entry {from_index} is gone; the log begins at {first_index}.")


class ConsensusError(PayhubError):
    """The replica cannot go on without risking what it acknowledged; it stops."""

    title = "The replica has stopped"


class ConsensusVersionError(ConsensusError):
    """The installed pysyncobj is not the release whose private names payhub overrides."""

    def __init__(self, detail: str) -> None:
        super().__init__("consensus-version", detail)


class JournalDamagedError(ConsensusError):
    """A journal file was changed or lost after it was written; starting would forget entries."""

    def __init__(self, name: str, offset: int, detail: str) -> None:
        super().__init__("journal-damaged", f"{name}, byte {offset}: {detail} {RESTORE_HINT}")
        self.name = name
        self.offset = offset


class JournalDoubtfulError(ConsensusError):
    """The last frame has its full length and a wrong checksum: torn by a loss of power, or damaged later."""

    def __init__(self, name: str, offset: int) -> None:
        detail = (
            f"{name}, byte {offset}: the last write has its full length, but a wrong checksum. If the "
            "machine lost power or crashed just then, it was never acknowledged: keep a copy of the folder, "
            f"{'cut the file to this length' if offset else 'remove the file'}, and start again. "
            "If not, it was damaged later, and what it acknowledged is lost here: restore a backup."
        )
        super().__init__("journal-doubtful", detail)
        self.name = name
        self.offset = offset


class JournalVersionError(ConsensusError):
    """A newer release wrote to the journal."""

    def __init__(self, name: str, offset: int, detail: str) -> None:
        super().__init__("journal-version", f"{name}, byte {offset}: {detail} Start that release.")


class JournalWriteError(ConsensusError):
    """The disk refused a write. What it holds is unknown until the journal is read again at start-up."""

    def __init__(self, detail: str) -> None:
        super().__init__("journal-write", f"The journal cannot be written: {detail}.")


class JournalOrderError(ConsensusError):
    """The journal was used out of order: a defect of payhub, stopped before it reaches the disk."""

    def __init__(self, detail: str) -> None:
        super().__init__("journal-order", detail)


class ReplicaIdentityError(ConsensusError):
    """The data folder belongs to another replica, lost its journal, or is in use."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)


class StateMismatchError(ConsensusError):
    """State and journal do not belong together: one of them lost something."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)


class ApplyFailedError(ConsensusError):
    """A committed entry could not be applied. Skipping it would make replicas differ, so this one stops."""

    def __init__(self, index: int, error: Exception) -> None:
        # Errors that are not payhub's own may quote what members sent.
        cause = str(error) if isinstance(error, PayhubError) else type(error).__name__
        super().__init__("apply-failed", f"Entry {index} could not be applied: {cause.removesuffix('.')}.")
        self.index = index


class HistoryConflictError(ConsensusError):
    """A leader contradicts what is committed: one of the two replicas has lost or invented entries."""

    def __init__(self, index: int) -> None:
        super().__init__("history-conflict", f"The leader has another entry {index} than was committed.")
        self.index = index


class TwoLeadersError(ConsensusError):
    """Another replica leads in this replica's own term: a vote was given twice."""

    def __init__(self, term: int, replica: str) -> None:
        super().__init__("two-leaders", f"Replica {replica} leads in term {term} too.")


class SnapshotError(ConsensusError):
    """A copy of the state cannot be made, sent or taken over."""

    def __init__(self, detail: str) -> None:
        super().__init__("snapshot-failed", detail)


class PeerRefusedError(ConsensusError):
    """A connection of another replica is refused; the replica itself goes on."""

    def __init__(self, detail: str) -> None:
        super().__init__("peer-refused", detail)


class GroupSettingsError(ConsensusError):
    """The group's settings contradict each other, or would be unsafe."""

    def __init__(self, detail: str) -> None:
        super().__init__("group-settings", detail)


class UnexpectedMessageError(ConsensusError):
    """A Raft message or command arrived that this group never sends."""

    def __init__(self, detail: str) -> None:
        super().__init__("unexpected-message", detail)
