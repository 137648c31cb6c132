"""What waits: tenants take turns, what finishes payments goes first, and nothing grows without bound."""

from payhub_engines.server.waiting import COST_MIN, OVERSHOOT, Queue, Waiting


def start(name: str) -> Waiting:
    waiting = Waiting(None, None, is_new=True)
    waiting.tenant = name
    return waiting


def result() -> Waiting:
    return Waiting(None, None)


def filled(counts: dict[str, int], waiting_max: int = 100) -> Queue:
    queue = Queue(waiting_max)
    for tenant, count in counts.items():
        for _ in range(count):
            queue.put(tenant, start(tenant))
    return queue


def test_tenants_take_turns_whoever_came_first():
    queue = filled({"a": 6, "b": 2, "c": 1})
    assert [one.tenant for one in queue.take(7)] == ["a", "b", "c", "a", "b", "a", "a"]
    assert len(queue) == queue.starting == queue.starting_of("a") == 2
    assert queue.starting_of("b") == 0


def test_the_turn_goes_on_where_the_last_batch_ended():
    queue = filled({"a": 3, "b": 3, "c": 3})
    assert [one.tenant for one in queue.take(2)] == ["a", "b"]
    assert [one.tenant for one in queue.take(2)] == ["c", "a"]


def test_results_go_before_starts_within_a_tenants_turn_only():
    queue = filled({"a": 2, "b": 2})
    done = result()
    queue.put("b", done)
    assert queue.take(2)[1] is done
    assert [one.is_new for one in queue.take(10)] == [True] * 3
    assert not queue


def test_a_tenant_alone_takes_the_whole_batch_results_first():
    queue = filled({"a": 3})
    queue.put("a", result())
    assert [one.is_new for one in queue.take(3)] == [False, True, True]
    assert len(queue) == 1


def test_what_is_put_back_is_next_again_and_in_the_same_order():
    queue = filled({"a": 3, "b": 3})
    queue.put("b", result())
    taken = queue.take(5)
    queue.put_back(taken[2:])
    assert len(queue) == 5
    assert queue.starting == 5
    again = queue.take(5)
    assert {id(one) for one in again[:3]} == {id(one) for one in taken[2:]}
    assert not queue
    assert queue.take(5) == []


def test_thousands_of_tenants_cost_a_turn_no_more_than_one():
    queue = filled({f"t{number}": 1 for number in range(5_000)}, waiting_max=10_000)
    looked_at = len(queue.take(256))
    assert looked_at == 256
    assert len(queue) == 5_000 - 256


def test_a_full_queue_still_takes_a_tenant_below_its_part_up_to_a_bound():
    queue = filled({"flood": 100})
    assert queue.is_full_for("flood")
    assert not queue.is_full_for("other")
    assert not queue.is_full_for("flood", headroom=2)
    for _ in range(50):
        queue.put("other", start("other"))
    assert queue.is_full_for("other")
    for number in range(50):
        queue.put(f"t{number}", start("t"))
    assert len(queue) == 100 * OVERSHOOT
    assert queue.is_full_for("newcomer")


def test_an_answer_is_told_once():
    heard: list[object] = []
    waiting = Waiting(None, heard.append)
    assert not waiting.is_answered
    waiting.answer("first")
    waiting.answer("second")
    assert heard == ["first"]
    assert waiting.is_answered


def test_a_bounded_batch_gives_each_one_turn_and_then_as_many_as_it_may_cost():
    queue = filled({"a": 50, "b": 1, "c": 20})

    def taken(count_max: int, cost_max: int) -> str:
        return "".join(one.tenant for one in queue.take(count_max, cost_max, lambda _: True))

    assert taken(256, 0) == "abc"
    assert taken(256, 3 * COST_MIN) == "acaca"
    assert taken(256, 0) == "ca", "where the last one ended"
    assert len(taken(4, 100 * COST_MIN)) == 4
    assert len(queue) == 71 - 3 - 5 - 2 - 4


def test_a_bounded_batch_takes_all_of_those_who_do_not_flood():
    queue = filled({"flood": 50, "b": 3, "c": 5, "much": 65})
    batch = "".join(one.tenant[0] for one in queue.take(256, COST_MIN, lambda tenant: tenant == "flood"))
    assert batch == "fbcm" + "bcmbcmcmcm" + "m" * 60 + "f"
    assert len(queue) == 48
    much = filled({"much": 66, "b": 2})
    assert "".join(one.tenant[0] for one in much.take(10, 0)) == "mbb", "much waits, so it floods"


def test_where_batches_are_bounded_a_dear_command_is_paid_with_the_turns_after_it():
    queue = filled({"dear": 200, "cheap": 200})
    taken: list[Waiting] = []
    for _ in range(100):
        batch = queue.take(256, 2 * COST_MIN, lambda _: True)
        for one in batch:
            one.size = 10 * COST_MIN if one.tenant == "dear" else COST_MIN // 2
        queue.settle(batch)
        taken += batch
    dear = sum(one.tenant == "dear" for one in taken)
    assert 10 <= dear <= 40, "a tenth of four hundred half-turns, and what was taken before it was known"
    assert len(taken) - dear >= 150


def test_a_batch_costs_its_bytes_but_each_command_a_turn_at_least():
    queue = filled({"a": 3})
    batch = queue.take(3)
    batch[0].size = 5 * COST_MIN
    assert queue.settle(batch) == 7 * COST_MIN


def test_where_nothing_bounds_a_batch_nobody_pays():
    queue = filled({"a": 10, "b": 10})
    batch = queue.take(2)
    for one in batch:
        one.size = 20_000
    queue.settle(batch)
    assert [one.tenant for one in queue.take(4)] == ["a", "b", "a", "b"]


def test_even_a_full_batch_holds_few_dear_commands():
    queue = filled({"a": 500, "b": 100})
    for _ in range(10):
        batch = queue.take(4)
        for one in batch:
            one.size = 100_000
        queue.settle(batch)
    assert len(queue.take(256)) < 20
    alone = filled({"a": 500})
    batch = alone.take(1)
    batch[0].size = 4_000_000
    alone.settle(batch)
    assert len(alone.take(256)) == 1


def test_it_tells_since_when_the_oldest_start_waits():
    queue = Queue()
    assert queue.oldest_start_ms() is None
    queue.put("a", result())
    for tenant, since_ms in (("a", 30), ("b", 10), ("b", 5)):
        queue.put(tenant, Waiting(None, None, is_new=True, since_ms=since_ms))
    assert queue.oldest_start_ms() == 10, "the first of each tenant's is its oldest"
