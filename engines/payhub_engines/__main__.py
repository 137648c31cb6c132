"""``python -m payhub_engines`` runs one engine replica."""

from payhub_engines.server.app import main

if __name__ == "__main__":
    main()
