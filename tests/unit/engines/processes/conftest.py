import pytest
from support.run_table import ROWS


@pytest.fixture
def run_table(request):
    return request.config.stash[ROWS]
