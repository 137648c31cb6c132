"""Why the core refuses to go on."""

from payhub_platform.errors import PayhubError


class ReplayError(PayhubError):
    """The log and the state do not fit together; the replica must stop."""

    title = "The log does not continue the state"


class CommandTooLargeError(PayhubError):
    """What a command adds to the log is too large for one entry; nothing of it was done."""

    status = 413
    title = "The command does too much at once"

    def __init__(self, units_max: int) -> None:
        super().__init__("command-too-large", f"One command writes at most {units_max // 1024} KiB.")


class StateFormatError(PayhubError):
    """The store was written by a release that this one cannot follow."""

    title = "The state has another format"
