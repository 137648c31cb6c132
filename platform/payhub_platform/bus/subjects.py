"""Names on the bus, in one place."""

from typing import Final

AUDIT_STREAM: Final = "PAYHUB_AUDIT"
AUDIT_SUBJECTS: Final = "payhub.audit.>"
CONFIG_BUCKET: Final = "payhub-config"
TENANT_KEY_PREFIX: Final = "tenants."


def audit(engine: str) -> str:
    """Where an engine exports its log; stored in ``AUDIT_STREAM``."""
    return f"payhub.audit.{engine}"


def replay(engine: str) -> str:
    """Where operations asks an engine for records again (request and reply)."""
    return f"payhub.replay.{engine}"


def handover(engine: str) -> str:
    """Where an engine takes callbacks that reached another (request and reply)."""
    return f"payhub.handover.{engine}"
