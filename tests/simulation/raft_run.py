"""Run seeds: ``PYTHONPATH=tests python -m simulation.raft_run --replicas 3 --seeds 100``."""

import argparse
import sys
import time
import traceback
from collections import Counter

from simulation.raft_world import simulate

COMMAND = "PYTHONPATH=tests python -m simulation.raft_run --replicas {replicas} --first {seed} --seeds 1"


def main() -> int:
    """Run the seeds that were asked for; return 1 when one of them failed."""
    parser = argparse.ArgumentParser(description="Run seeds of the Raft simulation.")
    parser.add_argument("--replicas", type=int, choices=(3, 5), default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    asked = parser.parse_args()
    seen: Counter[str] = Counter()
    failed: list[int] = []
    acknowledged = slowest_ms = 0
    began = time.monotonic()
    for seed in range(asked.first, asked.first + asked.seeds):
        try:
            result = simulate(seed, asked.replicas)
        except Exception:  # noqa: BLE001 - whatever goes wrong in a run is what the runs are for
            failed.append(seed)
            traceback.print_exc(limit=-6)
            sys.stderr.write(COMMAND.format(replicas=asked.replicas, seed=seed) + "\n\n")
            continue
        seen += result.seen
        acknowledged += result.acknowledged
        slowest_ms = max(slowest_ms, result.healed_ms)
        if asked.seeds == 1:
            sys.stdout.write(f"digest {result.digest}\n")
    for what, count in sorted(seen.items()):
        sys.stdout.write(f"{count:10} {what}\n")
    sys.stdout.write(
        f"{asked.replicas} replicas, {asked.seeds} seeds in {time.monotonic() - began:.0f} s: "
        f"{acknowledged} entries acknowledged, slowest healed in {slowest_ms} ms, "
        f"failed: {failed or 'none'}\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
