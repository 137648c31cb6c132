"""BPMN's token game over a graph: a second, small interpreter, to foretell what the engine must do.

A state is where the tokens are, which joins wait, and the conditions that must hold since a worker
or a message last set variables: the script chooses values there for all gateways up to the next place.
"""

from collections import deque
from dataclasses import dataclass, replace

from support.conditions import Conditions, Constraint
from support.process_graph import EVENTS, JOBS, Graph

TOKENS_MAX = 4
JOIN_TOKENS_MAX = 3  # tokens at joins: a loop that forks each time round is cut here
ENTERED_MAX = 60  # nodes entered without a wait: a loop that ends nowhere is cut here
STATES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Token:
    """A token that waits; ``fired`` are the non-interrupting boundary events that have triggered."""

    node: str
    fired: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """All tokens in the order in which they came, sorted flows at joins, conditions that must hold."""

    tokens: tuple[Token, ...]
    joins: tuple[str, ...]
    held: frozenset[Constraint]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens to a waiting token, and where it leads.

    Attributes:
        kind: start, job, error, message or timer.
        node: where the token waits.
        event: what triggers: the node itself, its boundary event, or the event behind its gateway.
        entered: ids of the nodes that are entered, in order.
        flows: ids of the sequence flows that are taken.
        constraints: what the gateways on the way ask for.
    """

    kind: str
    node: str
    event: str
    entered: tuple[str, ...]
    flows: tuple[str, ...]
    constraints: frozenset[Constraint]

    @property
    def sets_variables(self):
        return self.kind != "timer"


@dataclass(frozen=True, slots=True)
class _Walk:
    """A step that is not over: ``queue`` are the nodes that tokens enter next."""

    state: State
    queue: tuple[str, ...] = ()
    entered: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    constraints: frozenset[Constraint] = frozenset()


class TokenGame:
    """The moves of one process."""

    def __init__(self, graph: Graph):
        self._graph = graph
        self._conditions = Conditions(graph.conditions)

    def values(self, constraints):
        """Return variables that meet constraints, as dotted paths."""
        return self._conditions.solve(constraints)

    def beginnings(self):
        """Return the first steps with the states that they lead to."""
        start = self._graph.start
        walk = _Walk(State((), (), frozenset()), queue=(start,))
        return self._finished("start", start, start, walk)

    def moves(self, state):
        """Return the steps that are possible in a state, with the states that they lead to."""
        result, awaited = [], set()
        for token in self._movable(state.tokens):
            for kind, event in self._exits(token):
                message = self._graph.nodes[event].message
                if kind == "message" and message in awaited:
                    continue  # the older subscription gets it
                result += self._finished(kind, token.node, event, self._left(state, token, kind, event))
            awaited |= {self._graph.nodes[event].message for _, event in self._exits(token)}
        return result

    def _movable(self, tokens):
        """Jobs are done at once, the oldest first; only then does anything else happen."""
        jobs = [token for token in tokens if self._is_job(token.node)]
        return jobs[:1] or list(dict.fromkeys(tokens))

    def _is_job(self, node_id):
        node = self._graph.nodes[node_id]
        return node.tag in JOBS or node.tag == "callActivity"

    def _exits(self, token):
        node = self._graph.nodes[token.node]
        if self._is_job(node.id):
            yield "job", node.id
            yield from (("error", event) for event in node.boundary if self._graph.nodes[event].catches_error)
            return
        events = [event for event in node.boundary if event not in token.fired]
        if node.tag == "eventBasedGateway":
            events = [flow.target for flow in node.outgoing]
        elif node.tag in EVENTS:
            events.insert(0, node.id)
        for event in events:
            if self._graph.nodes[event].timer:
                yield "timer", event
            elif self._graph.nodes[event].message:
                yield "message", event

    def _left(self, state, token, kind, event):
        tokens = list(state.tokens)
        place = tokens.index(token)
        if self._graph.nodes[event].interrupting:
            del tokens[place]
        else:
            tokens[place] = replace(token, fired=(*token.fired, event))
        held = state.held if kind == "timer" else frozenset()
        walk = _Walk(State(tuple(tokens), state.joins, held))
        if event == token.node:
            return self._along(walk, self._graph.nodes[event].outgoing)
        if self._graph.nodes[event].attached_to == token.node:
            return replace(walk, queue=(event,))
        through = next(flow for flow in self._graph.nodes[token.node].outgoing if flow.target == event)
        walk = replace(walk, entered=(event,), flows=(through.id,))
        return self._along(walk, self._graph.nodes[event].outgoing)

    def _finished(self, kind, node, event, walk):
        found = []
        waiting = deque([walk])
        while waiting:
            walk = waiting.popleft()
            if walk.queue:
                waiting += [walk for walk in self._entered(walk) if _is_small(walk)]
                continue
            step = Step(kind, node, event, walk.entered, walk.flows, walk.constraints)
            found.append((step, walk.state))
        return found

    def _entered(self, walk):
        """Let the next token enter its node; a gateway may let it out several ways."""
        node = self._graph.nodes[walk.queue[0]]
        walk = replace(walk, queue=walk.queue[1:])
        if node.is_join:
            joins = list(walk.state.joins)
            if not set(node.incoming) <= set(joins):
                return [walk]
            for flow in node.incoming:
                joins.remove(flow)
            walk = replace(walk, state=replace(walk.state, joins=tuple(joins)))
        walk = replace(walk, entered=(*walk.entered, node.id))
        if node.tag == "exclusiveGateway":
            return self._chosen(walk, node)
        if self._is_job(node.id) or node.tag in EVENTS or node.tag == "eventBasedGateway":
            tokens = (*walk.state.tokens, Token(node.id))
            return [replace(walk, state=replace(walk.state, tokens=tokens))]
        return [self._along(walk, node.outgoing)]

    def _chosen(self, walk, node):
        """The first flow whose condition is true is taken, else the default."""
        if len(node.outgoing) == 1 and not node.outgoing[0].condition:
            return [self._along(walk, node.outgoing)]
        conditional = [flow for flow in node.outgoing if flow.condition]
        ways = [(flow, [*conditional[:place], flow]) for place, flow in enumerate(conditional)]
        ways += [(flow, [*conditional, flow]) for flow in node.outgoing if flow.id == node.default]
        found = []
        for flow, asked in ways:
            wanted = {(other.condition, other is flow) for other in asked if other.condition}
            held = walk.state.held | wanted
            if self._conditions.solve(held) is not None:
                chosen = replace(
                    walk, state=replace(walk.state, held=held), constraints=walk.constraints | wanted
                )
                found.append(self._along(chosen, [flow]))
        return found

    def _along(self, walk, flows):
        arriving = [flow.id for flow in flows if self._graph.nodes[flow.target].is_join]
        joins = tuple(sorted((*walk.state.joins, *arriving)))
        return replace(
            walk,
            state=replace(walk.state, joins=joins),
            queue=(*walk.queue, *(flow.target for flow in flows)),
            flows=(*walk.flows, *(flow.id for flow in flows)),
        )


def _is_small(walk):
    return (
        len(walk.entered) <= ENTERED_MAX
        and len(walk.state.tokens) <= TOKENS_MAX
        and len(walk.state.joins) <= JOIN_TOKENS_MAX
    )
