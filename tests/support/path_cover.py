"""Chooses few scripted runs that together reach every end event and take every sequence flow."""

from collections import deque
from dataclasses import dataclass, field

from support.conditions import nested
from support.process_graph import Graph
from support.token_game import STATES_MAX, State, Step, TokenGame

BEGIN = State((), ("begin",), frozenset())


@dataclass(frozen=True, slots=True)
class Run:
    """What happens, in order; ``values`` are the variables that each step sets.

    ``is_stuck``: the last tokens wait at a join for one that cannot come.
    """

    steps: tuple[Step, ...]
    values: tuple[dict[str, object], ...]
    is_stuck: bool

    @property
    def entered(self):
        """The ids of the nodes entered, in order."""
        return [node for step in self.steps for node in step.entered]

    @property
    def flows(self):
        """The ids of the flows taken."""
        return {flow for step in self.steps for flow in step.flows}


@dataclass(slots=True)
class Cover:
    """The runs of one process, and what no run could reach.

    Attributes:
        unfinished: flows that are taken only in runs that get stuck.
        unreached: ids of nodes and flows that no run reaches.
    """

    runs: list[Run] = field(default_factory=list)
    unfinished: set[str] = field(default_factory=set)
    unreached: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Edge:
    source: State
    step: Step
    target: State


class _Search:
    """All states that can be reached, the shortest way to each, and from each to an end."""

    def __init__(self, game: TokenGame):
        self.edges = []
        self.to = {BEGIN: ()}  # state -> the edge before it on a shortest way
        into = {}
        waiting = deque([BEGIN])
        while waiting:
            state = waiting.popleft()
            for step, target in game.beginnings() if state is BEGIN else game.moves(state):
                edge = _Edge(state, step, target)
                self.edges.append(edge)
                into.setdefault(target, []).append(edge)
                if target not in self.to:
                    assert len(self.to) < STATES_MAX, "the process has more states than can be searched"
                    self.to[target] = (edge,)
                    waiting.append(target)
        self._into = into
        over = [state for state in self.to if not state.tokens]
        self.completed = self._ways([state for state in over if not state.joins])
        self.ended = self._ways([state for state in over if state is not BEGIN])
        self.far = {}
        for state, before in self.to.items():
            self.far[state] = self.far[before[0].source] + 1 if before else 0

    def _ways(self, over):
        """Return, by state, the number of steps to one of ``over`` and the next edge on the way."""
        ways = dict.fromkeys(over, (0, None))
        waiting = deque(over)
        while waiting:
            state = waiting.popleft()
            for edge in self._into.get(state, ()):
                if edge.source not in ways:
                    ways[edge.source] = (ways[state][0] + 1, edge)
                    waiting.append(edge.source)
        return ways

    def steps(self, edge, ways):
        """Return the steps of a shortest run over an edge, and the state at its end."""
        before, state = [], edge.source
        while self.to[state]:
            before.insert(0, self.to[state][0].step)
            state = self.to[state][0].source
        after, state = [edge.step], edge.target
        while ways[state][1] is not None:
            after.append(ways[state][1].step)
            state = ways[state][1].target
        return tuple(before + after), state


def cover(graph: Graph) -> Cover:
    """Find the runs of a process."""
    game = TokenGame(graph)
    search = _Search(game)
    found, done = Cover(), set()
    for ways in (search.completed, search.ended):
        best = _best_edges(search, ways)
        # What is hard to reach first: its long runs take the easy flows along.
        for item in sorted(best, key=lambda item: (-best[item][0], item)):
            if item not in done:
                steps, over = search.steps(best[item][1], ways)
                found.runs.append(Run(steps, _values(game, steps), is_stuck=bool(over.joins)))
                taken = _items(steps)
                if over.joins:
                    found.unfinished |= taken - done
                done |= taken
    found.unreached = {*graph.flows, *graph.nodes} - done
    return found


def _best_edges(search, ways):
    """Return, by node and flow, the length of the shortest run over it, and the edge that takes it."""
    best = {}
    for edge in search.edges:
        if edge.target in ways:
            length = search.far[edge.source] + 1 + ways[edge.target][0]
            for item in _items([edge.step]):
                if item not in best or length < best[item][0]:
                    best[item] = (length, edge)
    return best


def _items(steps):
    return {item for step in steps for item in (*step.entered, *step.flows)}


def _values(game, steps):
    """Choose the variables: each step that sets some answers for all gateways up to the next such step."""
    found = []
    for place, step in enumerate(steps):
        asked = set()
        if step.sets_variables:
            asked |= step.constraints
            for later in steps[place + 1 :]:
                if later.sets_variables:
                    break
                asked |= later.constraints
        found.append(nested(game.values(asked)))
    return tuple(found)
