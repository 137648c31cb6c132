"""Random block-structured processes against a reference that only walks their tree."""

import random
from collections import Counter
from itertools import pairwise

import pytest
from unit.engines.core.conftest import Model

from payhub_engines.core.commands import CompleteJob
from payhub_engines.testkit import Engine

SEEDS = 120
DEPTH_MAX = 4
STEPS_MAX = 400


class Block:
    """A random process as a tree; ``run`` is the reference: which tasks are done, how often."""

    def __init__(self, chance, ids, depth=0):
        self.chance = chance
        self.name = f"n{next(ids)}"
        kinds = ["task", "task", "sequence", "xor", "and", "or", "loop", "sub"]
        self.kind = "task" if depth == DEPTH_MAX else chance.choice(kinds if depth else kinds[2:])
        count = {"task": 0, "loop": 1, "sub": 1}.get(self.kind, chance.randint(2, 3))
        self.inside = [Block(chance, ids, depth + 1) for _ in range(count)]
        self.rounds = chance.randint(1, 3)
        taken = [chance.random() < 0.5 for _ in self.inside]
        self.taken = self._first(taken) if self.kind == "xor" else taken

    @staticmethod
    def _first(taken):
        return [is_taken and not any(taken[:index]) for index, is_taken in enumerate(taken)]

    def run(self):
        """Return how often each task is done."""
        if self.kind == "task":
            return Counter([self.name])
        done = Counter()
        chosen = self.inside
        if self.kind in {"xor", "or"}:
            # The last one is the default.
            chosen = [one for one, is_taken in zip(self.inside, self.taken, strict=True) if is_taken]
            chosen = chosen or self.inside[-1:]
        for _ in range(self.rounds if self.kind == "loop" else 1):
            for one in chosen:
                done += one.run()
        return done

    def write(self, model):
        """Write the block into a model; return its first and last element."""
        return getattr(self, f"_write_{self.kind}")(model)

    def _write_task(self, model):
        model.job(self.name)
        return self.name, self.name

    def _write_sequence(self, model):
        written = [one.write(model) for one in self.inside]
        for (_, last), (first, _) in pairwise(written):
            model.flow(last, first)
        return written[0][0], written[-1][1]

    def _write_branches(self, model, gateway):
        split, join = f"{self.name}-split", f"{self.name}-join"
        written = [one.write(model) for one in self.inside]
        default = f"{split}-{written[-1][0]}"
        if gateway == "parallel":
            model.parallel(split).parallel(join)
        else:
            getattr(model, gateway)(split, default=default)
            getattr(model, gateway)(join)
        for index, (first, last) in enumerate(written):
            is_default = index == len(written) - 1
            condition = f"= {str(self.taken[index]).lower()}" if gateway != "parallel" else ""
            model.flow(split, first, "" if is_default else condition)
            model.flow(last, join)
        return split, join

    def _write_xor(self, model):
        return self._write_branches(model, "exclusive")

    def _write_and(self, model):
        return self._write_branches(model, "parallel")

    def _write_or(self, model):
        return self._write_branches(model, "inclusive")

    def _write_loop(self, model):
        begin, count, again = f"{self.name}-begin", f"{self.name}-count", f"{self.name}-again"
        first, last = self.inside[0].write(model)
        model.script(begin, "= 0", f"c_{self.name}").script(count, f"= c_{self.name} + 1", f"c_{self.name}")
        merge, done = f"{self.name}-merge", f"{self.name}-done"  # a body may begin with a join
        model.exclusive(again, default=f"{again}-{done}").node("task", done)
        model.exclusive(merge).path(begin, merge, first).path(last, count, again, done)
        model.flow(again, merge, f"= c_{self.name} &lt; {self.rounds}")
        return begin, done

    def _write_sub(self, model):
        inside = Model()
        first, last = self.inside[0].write(inside)
        begin, end = f"{self.name}-in", f"{self.name}-out"
        model.sub(self.name, inside.start(begin).end(end).path(begin, first).path(last, end))
        return self.name, self.name


def default_of_or(block):
    """Say which branches of an inclusive gateway the engine takes: the default only where no other is."""
    if block.kind in {"xor", "or"}:
        others = block.taken[:-1]
        block.taken = [*others, not any(others)]
    for one in block.inside:
        default_of_or(one)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_block_structured_process_does_what_its_tree_says_in_any_order(seed):
    chance = random.Random(seed)
    block = Block(chance, iter(range(1_000_000)))
    default_of_or(block)
    model = Model()
    first, last = block.write(model)
    model.start().end().path("start", first).path(last, "end")
    engine = Engine()
    engine.deploy(model.xml())
    key, done = engine.start("p"), Counter()
    for _ in range(STEPS_MAX):
        jobs = list(engine.state.jobs())
        if not jobs:
            break
        job = chance.choice(jobs)
        done[job.element] += 1
        engine.execute(CompleteJob(job=job.key, variables={}))
    view = engine.instance(key)
    assert (view.state, view.incidents, view.path.count("end")) == ("COMPLETED", [], 1)
    assert done == block.run()
