"""``python -m payhub_sandbox``: serve the sandbox until SIGTERM or Ctrl-C."""

import logging
import signal
import sys
from types import FrameType
from typing import Final

import uvicorn

from payhub_platform.clock import system_clock
from payhub_platform.settings import load
from payhub_sandbox.app import create_app
from payhub_sandbox.settings import SandboxSettings

SHUTDOWN_S: Final = 3


def main() -> None:
    """Run the process; it ends with status 0 when it is told to stop."""
    settings = load(SandboxSettings)
    logging.basicConfig(
        level=settings.log_level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    # uvicorn stops on the signal and then raises it once more for the handler that was there before.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    app = create_app(settings, system_clock)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
