"""One tenant floods: what do the others notice?"""

from dataclasses import dataclass
from typing import Final

from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.ledger import Verdict
from payhub_cli.bench.load import Load, Plan, percentile
from payhub_cli.bench.measure import WARM_UP_PAYMENTS, Bench
from payhub_cli.bench.report import FloodFigures

FLOODER: Final = "A"
OTHERS: Final = ("B", "C", "D", "E")
RATE: Final = 20.0  # payments a second of each of the others, where none is given


@dataclass(frozen=True, slots=True)
class FloodSettings:
    """How the engine is loaded: ``seconds`` without the flood and as many with it, with so many payments."""

    replicas: int
    seconds: float
    payments_max: float
    in_flight: int  # of the flooder
    rate: float  # of each of the others
    is_rude: bool  # the flooder comes again ten times a second, whatever it was told


async def measure_flood(bench: Bench, settings: FloodSettings) -> FloodFigures:
    """Load a started engine without and with a flood, and return the figures.

    Raises:
        BenchError: one of the tenants had nothing completed, or a replica failed.
    """
    warm = await bench.warm_up(len(OTHERS), OTHERS[0], int(min(WARM_UP_PAYMENTS, settings.payments_max)))
    calm = _steady(bench, settings, "calm")
    await bench.run(calm, "calm")
    steady = _steady(bench, settings, "flooded")
    flood = Load(
        Plan(
            f"{bench.token}-flood",
            FLOODER,
            settings.seconds,
            settings.in_flight,
            is_rude=settings.is_rude,
        )
    )
    await bench.run([*steady, flood], "flood")
    await bench.settle()
    accepted = warm.accepted.union(*(load.accepted for load in (*calm, *steady, flood)))
    verdict, _ = await bench.read_log(accepted)
    return flood_figures(settings, calm, steady, flood, verdict)


def flood_figures(
    settings: FloodSettings, calm: list[Load], steady: list[Load], flood: Load, verdict: Verdict
) -> FloodFigures:
    """Compute the figures.

    Raises:
        BenchError: one of the tenants had nothing completed.
    """
    if not all(load.completed for load in (*calm, *steady, flood)):
        raise BenchError("One of the tenants completed no payment; give them more time.")
    before, during = _p99_ms(calm), _p99_ms(steady)
    return FloodFigures(
        replicas=settings.replicas,
        rate=settings.rate,
        flood_in_flight=settings.in_flight,
        flood_is_rude=settings.is_rude,
        calm_p99_ms={load.plan.tenant: _p99_ms([load]) for load in calm},
        flood_p99_ms={load.plan.tenant: _p99_ms([load]) for load in steady},
        calm_p50_of_all_ms=_percentile_ms(calm, 50),
        flood_p50_of_all_ms=_percentile_ms(steady, 50),
        calm_p99_of_all_ms=before,
        flood_p99_of_all_ms=during,
        ratio=during / before,
        flooder_per_s=flood.completed / flood.seconds,
        flooder_refusals=flood.refusals,
        others_refusals=sum(load.refusals for load in steady),
        lost=verdict.lost,
        duplicated=verdict.duplicated,
        wrong=verdict.examples,
    )


def _steady(bench: Bench, settings: FloodSettings, phase: str) -> list[Load]:
    return [
        Load(
            Plan(
                f"{bench.token}-{phase}{tenant}",
                tenant,
                settings.seconds,
                rate=settings.rate,
                payments_max=settings.payments_max,
                offset_s=number / len(OTHERS) / settings.rate,
            )
        )
        for number, tenant in enumerate(OTHERS)
    ]


def _p99_ms(loads: list[Load]) -> float:
    return _percentile_ms(loads, 99)


def _percentile_ms(loads: list[Load], percent: float) -> float:
    return percentile(sorted(each for load in loads for each in load.latencies_ms), percent)
