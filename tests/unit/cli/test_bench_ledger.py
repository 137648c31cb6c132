"""The bench's reading of the log finds what was lost and what happened twice."""

import msgspec
import pytest

from payhub_cli.bench.connectors import LOOKUP, PAYEE, PAYER
from payhub_cli.bench.core_alone import payments
from payhub_cli.bench.ledger import Ledger
from payhub_engines.core.events import (
    InstanceCompleted,
    InstanceStarted,
    JobCompleted,
    LogEntry,
    encode_entry,
)

PAYMENTS = [f"p{number}" for number in range(3)]


@pytest.fixture(scope="module")
def entries() -> list[LogEntry]:
    return payments(len(PAYMENTS), 10)


def read(entries, **options):
    ledger = Ledger()
    for index, entry in enumerate(entries, 1):
        ledger.take(index, encode_entry(entry), **options)
    return ledger


def changed(entries, change):
    """Return the entries with each event replaced by those that ``change`` makes of it."""
    return [
        msgspec.structs.replace(entry, events=[made for event in entry.events for made in change(event)])
        for entry in entries
    ]


def of(entries, process, payment):
    starts = [event for entry in entries for event in entry.events if isinstance(event, InstanceStarted)]
    return next(each.instance for each in starts if (each.process, each.payment) == (process, payment))


def test_a_payment_of_three_processes_and_fifteen_jobs_is_right(entries):
    verdict = read(entries).verdict(PAYMENTS)
    assert (verdict.payments, verdict.lost, verdict.duplicated, verdict.examples) == (3, 0, 0, [])
    assert verdict.log_bytes == sum(len(encode_entry(entry)) for entry in entries)
    jobs = [event for entry in entries for event in entry.events if isinstance(event, JobCompleted)]
    assert len(jobs) == 15 * len(PAYMENTS)


def test_what_is_accepted_and_not_in_the_log_is_lost(entries):
    verdict = read(entries).verdict([*PAYMENTS, "p9"])
    assert (verdict.lost, verdict.duplicated, verdict.examples) == (1, 0, ["p9: lost"])


def test_what_never_ended_is_lost_and_nothing_else(entries):
    payer = of(entries, PAYER, "p1")
    cut = changed(
        entries,
        lambda event: [] if isinstance(event, InstanceCompleted) and event.instance == payer else [event],
    )
    verdict = read(cut).verdict(PAYMENTS)
    assert (verdict.lost, verdict.duplicated, verdict.examples) == (1, 0, ["p1: lost"])


@pytest.mark.parametrize(
    ("process", "kind", "times", "text"),
    [
        (LOOKUP, InstanceCompleted, 0, "completed 0 times"),
        (PAYEE, InstanceCompleted, 2, "completed 2 times"),
        (PAYER, InstanceCompleted, 2, "completed 2 times"),
        (PAYEE, JobCompleted, 0, "0 of 6 jobs completed"),
        (LOOKUP, JobCompleted, 2, "completed twice"),
    ],
)
def test_what_happened_other_than_once_is_found(entries, process, kind, times, text):
    instance = of(entries, process, "p2")
    wrong = changed(
        entries,
        lambda event: [event] * times if isinstance(event, kind) and event.instance == instance else [event],
    )
    verdict = read(wrong).verdict(PAYMENTS)
    assert (verdict.lost, verdict.duplicated) == (0, 1)
    assert verdict.examples[0].startswith(f"p2: {process}")
    assert text in verdict.examples[0]


def test_a_process_started_twice_is_found(entries):
    def twice(event):
        is_it = isinstance(event, InstanceStarted) and (event.process, event.payment) == (PAYEE, "p0")
        return [event, msgspec.structs.replace(event, instance=10**9)] if is_it else [event]

    verdict = read(changed(entries, twice)).verdict(PAYMENTS)
    assert (verdict.duplicated, verdict.examples) == (1, [f"p0: {PAYEE}: started 2 times"])


def test_the_same_log_has_the_same_digest_and_another_has_not(entries):
    assert read(entries).digest == read(entries, digest_only=True).digest
    assert read(entries).digest != read(entries[:-1]).digest
    assert read(entries, digest_only=True).verdict([]).payments == 0
