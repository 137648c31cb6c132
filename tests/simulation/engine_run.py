"""Run seeds of whole engine groups: see ``--help``; ``make sim`` runs them all."""

import argparse
import sys
import time
import traceback
from collections import Counter

from simulation.engine_world import simulate

COMMAND = (
    "PYTHONPATH=engines:platform:tenants:gateway:tests python -m simulation.engine_run "
    "--replicas {replicas} --seed {seed}"
)


def command(
    seed: int,
    replicas: int,
    *,
    has_real_store: bool = False,
    has_neighbour: bool = False,
    has_limits: bool = False,
) -> str:
    """Return what replays a seed exactly."""
    more = (" --rocksdb" if has_real_store else "") + (" --neighbours" if has_neighbour else "")
    more += " --limits" if has_limits else ""
    return COMMAND.format(replicas=replicas, seed=seed) + more


def main() -> int:
    """Run the seeds that were asked for; return 1 when one of them failed."""
    parser = argparse.ArgumentParser(description="Run seeds of the simulation of engine groups.")
    parser.add_argument("--replicas", type=int, choices=(1, 3, 5), default=3)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--rocksdb", action="store_true", help="keep the states in RocksDB")
    parser.add_argument("--neighbours", action="store_true", help="two engines that hand over to each other")
    parser.add_argument("--limits", action="store_true", help="payments that are counted against limits")
    asked = parser.parse_args()
    more = {
        "has_real_store": asked.rocksdb,
        "has_neighbour": asked.neighbours,
        "has_limits": asked.limits,
    }
    seen: Counter[str] = Counter()
    failed: list[int] = []
    payments = events = healed_ms = ended_ms = 0
    began = time.monotonic()
    for seed in range(asked.seed, asked.seed + asked.seeds):
        try:
            result = simulate(seed, asked.replicas, **more)
        except Exception:  # noqa: BLE001 - whatever goes wrong in a run is what the runs are for
            failed.append(seed)
            traceback.print_exc(limit=-6)
            again = command(seed, asked.replicas, **more)
            sys.stderr.write(again + "\n\n")
            sys.stderr.flush()
            continue
        seen += result.seen
        payments += result.payments
        events += result.events
        healed_ms, ended_ms = max(healed_ms, result.healed_ms), max(ended_ms, result.ended_ms)
        if asked.seeds == 1:
            sys.stdout.write(f"digest {result.digest}\n")
    for what, count in sorted(seen.items()):
        sys.stdout.write(f"{count:10} {what}\n")
    sys.stdout.write(
        f"{asked.replicas} replicas, {asked.seeds} seeds in {time.monotonic() - began:.0f} s: "
        f"{payments} payments, {events} events, slowest caught up in {healed_ms} ms, ended in {ended_ms} ms, "
        f"failed: {failed or 'none'}\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
