"""What can go wrong with the state on disk."""

from payhub_platform.errors import PayhubError


class StateError(PayhubError):
    """The state cannot be opened, or is used in a way that would make it wrong."""

    title = "The engine's state cannot be used"
