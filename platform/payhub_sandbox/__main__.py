"""``python -m payhub_sandbox``: serve the sandbox until SIGTERM or Ctrl-C."""

import asyncio

from payhub_platform.clock import system_clock
from payhub_platform.serving import start
from payhub_sandbox.app import Sandbox, serve
from payhub_sandbox.settings import SandboxSettings


def main() -> None:
    """Run the process; it ends with status 0 when it is told to stop."""
    settings = start("sandbox", SandboxSettings)
    asyncio.run(serve(Sandbox(settings, system_clock), settings.host, settings.port))


if __name__ == "__main__":
    main()
