"""What all tests share: the tables that some of them fill are shown when they are over."""

from support.run_table import ROWS, lines


def pytest_configure(config):
    config.stash[ROWS] = []


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[ROWS]
    if rows:
        terminalreporter.section("processes run to their end events")
        for line in lines(rows):
            terminalreporter.write_line(line)
