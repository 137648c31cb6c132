"""What the command refuses or cannot do."""

from payhub_platform.errors import PayhubError


class NotRunningError(PayhubError):
    """The installation is not running."""

    title = "payhub is not running"

    def __init__(self, detail: str) -> None:
        super().__init__("not-running", detail)


class FolderError(PayhubError):
    """The data folder cannot be used."""

    title = "The data folder cannot be used"

    def __init__(self, detail: str) -> None:
        super().__init__("data-folder", detail)


class AlreadyRunningError(PayhubError):
    """Another process runs the installation of this folder."""

    title = "payhub already runs here"

    def __init__(self, detail: str) -> None:
        super().__init__("already-running", detail)


class SandboxError(PayhubError):
    """The sandbox cannot be started as it was asked."""

    title = "The sandbox cannot be started"

    def __init__(self, detail: str) -> None:
        super().__init__("sandbox-start", detail)
