"""Settings of one engine replica, from environment variables ``PAYHUB_*``."""

from pathlib import Path

import msgspec


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an engine replica needs to start; it needs nobody else to be up."""

    engine_id: str
    site: str
    data_dir: Path
    port: int
    nats_url: str
    internal_token: str
    secrets_key: str
    host: str = "127.0.0.1"
    trace_file: Path | None = None
    log_level: str = "INFO"
