"""Which engines serve a tenant: pinned by people, or chosen by load and headroom."""
