"""Why a core bank could not be examined at all."""

from payhub_platform.errors import PayhubError


class AmsCheckError(PayhubError):
    """The options do not fit together, or a file cannot be used."""

    title = "The core bank was not examined"
