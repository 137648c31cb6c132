"""What all tests share: the tables that some of them fill are shown when they are over."""

from dataclasses import astuple
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from support.run_table import ROWS, Row, lines

# A busy machine is no defect: an example may take long, but what never ends is still one.
settings.register_profile(
    "busy", deadline=timedelta(seconds=10), suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")

WORKER_ROWS = "run_table"  # in what a worker of pytest-xdist says when it ends


def pytest_configure(config):
    config.stash[ROWS] = []


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[WORKER_ROWS] = [astuple(row) for row in session.config.stash[ROWS]]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    rows = getattr(node, "workeroutput", {}).get(WORKER_ROWS, [])  # a worker that crashed said nothing
    node.config.stash[ROWS].extend(Row(*row) for row in rows)


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[ROWS]
    if rows:
        terminalreporter.section("processes run to their end events")
        for line in lines(rows):
            terminalreporter.write_line(line)
