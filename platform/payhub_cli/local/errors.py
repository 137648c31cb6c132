"""What can go wrong with servers on this machine."""

from payhub_platform.errors import PayhubError


class LocalServerError(PayhubError):
    """A server on this machine cannot be prepared or does not start; the text says what to do."""

    title = "A local server could not be started"
