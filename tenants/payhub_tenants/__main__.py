"""``python -m payhub_tenants`` runs the control plane."""

from payhub_tenants.process import main

if __name__ == "__main__":
    main()
