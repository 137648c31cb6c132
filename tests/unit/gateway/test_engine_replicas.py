"""Which replica of an engine the gateway asks first."""

import pytest

from payhub_gateway.engine_replicas import AVOID_S, EngineReplicas
from payhub_platform.errors import InvalidInputError
from payhub_platform.replicas import ENGINES_VARIABLE, engine_addresses

THREE = "1=http://one:1,2=http://two:2 3=http://three:3/"


def test_one_address_is_an_engine_of_one_replica():
    replicas = EngineReplicas(engine_addresses("http://one:1/", ENGINES_VARIABLE))
    assert (replicas.size, replicas.next(0)) == (1, "http://one:1")
    replicas.failed("http://one:1", 0)
    assert replicas.next(0) == "http://one:1"
    replicas.answered("http://one:1", "7")
    assert replicas.next(0) == "http://one:1"


@pytest.mark.parametrize("text", ["", "one", "1=one", "1=http://one,1=http://two", "1=http://one/path"])
def test_an_address_that_leads_nowhere_is_refused(text: str):
    with pytest.raises(InvalidInputError, match="invalid-settings: PAYHUB_ENGINES"):
        engine_addresses(text, ENGINES_VARIABLE)


def test_the_leader_is_asked_until_another_one_leads():
    replicas = EngineReplicas(engine_addresses(THREE, ENGINES_VARIABLE))
    assert replicas.next(0) == "http://one:1"
    replicas.answered("http://one:1", "3")
    assert replicas.next(0) == "http://three:3"
    replicas.answered("http://three:3", "")
    assert replicas.next(0) == "http://three:3"


def test_one_that_failed_is_avoided_for_a_while():
    replicas = EngineReplicas(engine_addresses(THREE, ENGINES_VARIABLE))
    replicas.failed("http://one:1", 10.0)
    assert replicas.next(10.0) == "http://two:2"
    replicas.failed("http://two:2", 10.1)
    assert replicas.next(10.2) == "http://three:3"
    replicas.failed("http://three:3", 10.3)
    assert replicas.next(10.4) == "http://one:1"  # all failed; this one longest ago
    replicas.answered("http://two:2", "1")
    assert replicas.next(10.5) == "http://two:2"  # it asks the leader, which cannot be reached from here
    assert replicas.next(10.0 + AVOID_S) == "http://one:1"
