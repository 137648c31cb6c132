"""How the state follows jobs, timers and subscriptions."""

from payhub_engines.core import events
from payhub_engines.core.appliers.elements import bring, leave
from payhub_engines.core.appliers.registry import applier, changed_element
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.records import ElementInstance, Job, Subscription, Timer
from payhub_engines.core.state import State


@applier(events.JobCreated)
def _job_created(event: events.JobCreated, state: State) -> None:
    job, key = Job(event.job, event.job_type, event.headers, event.retries), event.element_instance
    scope = event.scope
    if scope is None:
        changed_element(state, event.instance, key).job = job
    else:
        elements = state.instances.change(event.instance).elements
        elements[scope].children += 1
        elements[key] = ElementInstance(key, event.element, scope, job=job)
    state.index.jobs[event.job] = (event.instance, key)


def _element_of_job(state: State, key: int, *, is_over: bool = False) -> ElementInstance:
    jobs = state.index.jobs
    place = jobs.pop(key, None) if is_over else jobs.get(key)
    if place is None:
        raise ReplayError("unknown-job", f"An event names job {key}, which is not in the state.")
    return changed_element(state, *place)


@applier(events.JobFailed)
def _job_failed(event: events.JobFailed, state: State) -> None:
    job = _element_of_job(state, event.job).job
    if job is not None:
        job.retries_left = event.retries_left
        job.retry_at_ms = event.retry_at_ms
        job.attempt += 1


@applier(events.JobRetriesUpdated)
def _job_retries_updated(event: events.JobRetriesUpdated, state: State) -> None:
    job = _element_of_job(state, event.job).job
    if job is not None:
        job.retries_left = event.retries
        job.retry_at_ms = 0


@applier(events.JobErrorThrown, events.JobCancelled)
def _job_over(event: events.JobErrorThrown | events.JobCancelled, state: State) -> None:
    _element_of_job(state, event.job, is_over=True).job = None


@applier(events.JobCompleted)
def _job_completed(event: events.JobCompleted, state: State) -> None:
    element = _element_of_job(state, event.job, is_over=True)
    element.job = None
    if event.is_left:
        leave(state, state.instances.change(event.instance), element.key)
        if event.variables:
            bring(event, state)


@applier(events.TimerCreated)
def _timer_created(event: events.TimerCreated, state: State) -> None:
    place = (event.instance, event.element_instance)
    timer = Timer(event.timer, event.element, event.due_ms, event.interval_ms, event.repetitions)
    element = changed_element(state, *place)
    element.timers = (*element.timers, timer)
    state.index.add_timer(event.timer, place, event.due_ms)


@applier(events.TimerTriggered, events.TimerCancelled)
def _timer_over(event: events.TimerTriggered | events.TimerCancelled, state: State) -> None:
    found = state.index.timers.get(event.timer)
    if found is None:
        raise ReplayError("unknown-timer", f"An event names timer {event.timer}, which is not in the state.")
    element = changed_element(state, found[0], found[1])
    element.timers = tuple([timer for timer in element.timers if timer.key != event.timer])
    state.index.remove_timer(event.timer)


@applier(events.SubscriptionOpened)
def _subscription_opened(event: events.SubscriptionOpened, state: State) -> None:
    place = (event.instance, event.element_instance)
    subscription = Subscription(
        event.subscription, event.element, event.name, event.correlation_key, event.is_signal
    )
    element = changed_element(state, *place)
    element.subscriptions = (*element.subscriptions, subscription)
    state.index.add_subscription(_tenant(state, event.instance), subscription, place)


@applier(events.SubscriptionClosed)
def _subscription_closed(event: events.SubscriptionClosed, state: State) -> None:
    element = changed_element(state, event.instance, event.element_instance)
    for closed in element.subscriptions:
        if closed.key == event.subscription:
            break
    else:
        detail = f"An event names subscription {event.subscription}, which is not in the state."
        raise ReplayError("unknown-subscription", detail)
    element.subscriptions = tuple([known for known in element.subscriptions if known is not closed])
    state.index.remove_subscription(_tenant(state, event.instance), closed)


def _tenant(state: State, key: int) -> str:
    instance = state.document(key)
    return "" if instance is None else instance.tenant
