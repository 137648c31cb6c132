"""``python -m payhub_sandbox``: serve the sandbox until SIGTERM or Ctrl-C."""

import asyncio

from payhub_platform.clock import system_clock
from payhub_platform.serving import server, start
from payhub_sandbox.app import create_app
from payhub_sandbox.settings import SandboxSettings


def main() -> None:
    """Run the process; it ends with status 0 when it is told to stop."""
    settings = start("sandbox", SandboxSettings)
    asyncio.run(server(create_app(settings, system_clock), settings.host, settings.port).serve())


if __name__ == "__main__":
    main()
