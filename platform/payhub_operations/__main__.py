"""``python -m payhub_operations``."""

from payhub_operations.server import main

main()
