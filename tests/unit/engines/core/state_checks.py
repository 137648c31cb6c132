"""What holds of every state: replay, reload and index agree, and nothing is left over."""

from payhub_engines.core.appliers import apply_entry
from payhub_engines.core.bpmn.model import Kind
from payhub_engines.core.events import decode_entry
from payhub_engines.core.memory_store import MemoryStore, write
from payhub_engines.core.state import State, digest

END_OF_TIME_MS = 2**62


def replayed(log):
    """Build a state out of encoded entries alone; return it with its store."""
    store = MemoryStore()
    state = State(store)
    for raw in log:
        apply_entry(decode_entry(raw), state)
    return state, store


def seen(state):
    """Return everything that readers find through the indexes, to compare two states."""
    index = state.index
    return {
        "next": (state.next_key, state.next_position),
        "counts": state.counts(),
        "jobs": {job: state.job(job) for job in index.jobs},
        "timers": sorted(state.due_timers(END_OF_TIME_MS), key=lambda timer: timer.key),
        "timer places": index.timers,
        "next timer": state.next_timer_due_ms(),
        "waiting": index.waiting,
        "listening": index.listening,
        "incidents": list(state.incidents()),
        "messages": index.messages,
        "expired": list(state.expired_messages(END_OF_TIME_MS)),
        "next message": state.next_message_expiry_ms(),
        "start timers": list(state.start_timers()),
        "deployed": state.deployed(),
        "broadcasts": list(state.broadcasts()),
        "latest": {one.id: one.version for one in state.catalogue.all()},
    }


def check_state(state, store):
    """Check a state that was just written to its store."""
    loaded = State(store)
    assert seen(loaded) == seen(state)
    running = list(loaded.instances._documents.values())
    for instance in running:
        check_instance(instance, loaded)
    owned = {
        element.incident.key
        for instance in running
        for element in instance.elements.values()
        if element.incident
    }
    assert set(loaded.index.incidents) == owned
    for key, _ in store.scan(b"i"):
        assert int.from_bytes(key[1:], "big") in owned, "a payload without its incident"
    for _, raw in store.scan(b"p"):
        assert loaded.instance(int.from_bytes(raw, "big")) is not None, "a business key without an instance"
    for key, _ in store.scan(b"e"):
        ended = loaded.instance(int.from_bytes(key[1:], "big"))
        assert ended.ended_at_ms is not None
        assert (ended.active_elements, ended.incident) == ((), False)


def check_instance(instance, state):
    """Check that a running instance's elements hang together, and that something can still move it."""
    definition = state.catalogue.get(instance.process, instance.version)
    elements = instance.elements
    assert instance.incidents == sum(1 for element in elements.values() if element.incident is not None)
    for key, element in elements.items():
        assert element.key == key
        assert element.children == sum(1 for other in elements.values() if other.key and other.scope == key)
        assert key == 0 or element.scope in elements
        for waited in (*element.timers, *element.subscriptions):
            assert waited.element in definition.elements
        if element.called:
            child = state.document(element.called)
            assert child.is_running
            assert (child.parent, child.parent_element, child.tenant) == (instance.key, key, instance.tenant)
        if key:
            assert can_move(element, definition.elements[element.element], elements), element
    assert elements[0].children or elements[0].incident or elements[0].undoing, "nothing is left to end it"
    if instance.parent:
        parent = state.document(instance.parent)
        assert parent.is_running
        assert parent.elements[instance.parent_element].called == instance.key


def can_move(active, element, elements):
    """Tell whether an active element waits for something that can still happen."""
    if active.incident is not None or active.children or active.job is not None or active.called:
        return True
    if active.undoing:
        return any(other.undoes == active.key for other in elements.values())
    is_waiting = element.kind in {Kind.CATCH, Kind.EVENT_GATEWAY}
    return is_waiting and bool(active.timers or active.subscriptions)


def check_engine(engine):
    """Check a test kit's engine: memory, rows, a reload of the rows and a replay of the log agree."""
    live = digest(engine.store)
    check_state(engine.state, engine.store)
    state, store = replayed(engine.entries)
    assert seen(state) == seen(engine.state)
    write(state, store)
    assert digest(store) == live
