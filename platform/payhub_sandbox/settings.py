"""Settings of the sandbox process."""

import msgspec


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from ``PAYHUB_HOST``, ``PAYHUB_PORT`` and so on.

    Attributes:
        host: address to listen on; the sandbox is meant for one machine.
        port: TCP port.
        quirks: whether the banks behave as Fineract really does, its known bugs included.
        log_level: name of a level of the standard library.
    """

    host: str = "127.0.0.1"
    port: int = 8090
    quirks: bool = True
    log_level: str = "INFO"
