"""The version that the code works with is the newest migration."""

from pathlib import Path

from alembic.script import ScriptDirectory

import payhub_tenants.migrations
from payhub_tenants.schema import SCHEMA_VERSION


def test_the_code_works_with_the_newest_migration():
    scripts = ScriptDirectory(str(Path(payhub_tenants.migrations.__file__).parent))
    assert scripts.get_heads() == [SCHEMA_VERSION]
