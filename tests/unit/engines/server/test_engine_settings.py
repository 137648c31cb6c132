"""An engine's settings: a group holds together before anything starts, and the text says what to do."""

from pathlib import Path

import pytest

from payhub_engines.server.settings import Address, Certificates, EngineSettings, Group
from payhub_platform.errors import InvalidInputError
from payhub_platform.settings import load

ALONE = {
    "PAYHUB_ENGINE_ID": "north",
    "PAYHUB_SITE": "north",
    "PAYHUB_DATA_DIR": "/data",
    "PAYHUB_PORT": "8080",
    "PAYHUB_NATS_URL": "nats://n",
    "PAYHUB_INTERNAL_TOKEN": "t",
    "PAYHUB_SECRETS_KEY": "k",
}
THREE = {
    **ALONE,
    "PAYHUB_REPLICA": "2",
    "PAYHUB_PEERS": "1=127.0.0.1:7001,2=localhost:7002, 3=[::1]:7003",
    "PAYHUB_REPLICA_URLS": "1=http://127.0.0.1:8081 2=http://127.0.0.1:8082 3=http://[::1]:8083/",
}
FAR = {**THREE, "PAYHUB_PEERS": "1=one.example:7000,2=two.example:7000,3=three.example:7000"}


def group_of(**changes: str):
    return load(EngineSettings, {**THREE, **changes}).group()


def test_an_engine_is_alone_by_default():
    settings = load(EngineSettings, ALONE)
    assert settings.is_alone
    assert settings.group() == Group(cluster="north", replica="1", addresses={}, certificates=None)


def test_a_group_is_read():
    group = group_of()
    assert (group.cluster, group.replica) == ("north", "2")
    assert group.addresses == {
        "1": Address("127.0.0.1", 7001),
        "2": Address("localhost", 7002),
        "3": Address("::1", 7003),
    }
    settings = load(EngineSettings, THREE)
    assert not settings.is_alone
    assert settings.urls()["3"] == "http://[::1]:8083"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"PAYHUB_REPLICA": "4"}, "PAYHUB_PEERS: Replica 4 .*is not among them"),
        ({"PAYHUB_REPLICA": "a b"}, "PAYHUB_REPLICA: .*no pair"),
        ({"PAYHUB_REPLICA": ""}, "PAYHUB_REPLICA: .*no pair"),
        ({"PAYHUB_PEERS": "1=127.0.0.1:1,2=127.0.0.1:2"}, "1, 3 or 5 replicas, not 2"),
        ({"PAYHUB_PEERS": ",".join(f"{n}=127.0.0.1:{n}" for n in range(1, 5))}, "1, 3 or 5 replicas, not 4"),
        ({"PAYHUB_PEERS": ",".join(f"{n}=127.0.0.1:{n}" for n in range(1, 8))}, "7 replicas are named"),
        ({"PAYHUB_PEERS": ""}, "1, 3 or 5 replicas, not 0"),
        ({"PAYHUB_PEERS": "1=127.0.0.1:1,2=127.0.0.1:1,3=127.0.0.1:3"}, "an address of its own"),
        ({"PAYHUB_PEERS": "1=127.0.0.1:1,1=127.0.0.1:2,3=127.0.0.1:3"}, "named once"),
        ({"PAYHUB_PEERS": "127.0.0.1:1"}, "no pair such as 1=address"),
        ({"PAYHUB_PEERS": "1=127.0.0.1,2=127.0.0.1:2,3=127.0.0.1:3"}, "no address such as host:7000"),
        ({"PAYHUB_PEERS": "1=127.0.0.1:99999,2=127.0.0.1:2,3=127.0.0.1:3"}, "no address such as host:7000"),
        ({"PAYHUB_PEERS": "1=x@127.0.0.1:1,2=127.0.0.1:2,3=127.0.0.1:3"}, "no address such as host:7000"),
        (
            {"PAYHUB_REPLICA_URLS": "1=http://a,2=http://b"},
            "PAYHUB_REPLICA_URLS: .*only one of the two names 3",
        ),
        ({"PAYHUB_REPLICA_URLS": ""}, "only one of the two names 1, 2, 3"),
        ({"PAYHUB_REPLICA_URLS": "1=ftp://a,2=http://b,3=http://c"}, "no address such as http://host:8080"),
        ({"PAYHUB_REPLICA_URLS": "1=http://a/x,2=http://b,3=http://c"}, "without a path"),
        ({"PAYHUB_REPLICA_URLS": "1=http://a:x,2=http://b,3=http://c"}, "no address such as"),
        ({"PAYHUB_PEERS": FAR["PAYHUB_PEERS"]}, "Replica 1 is on another machine: set PAYHUB_RAFT_CERT"),
        ({"PAYHUB_RAFT_CERT": "/x"}, "Set PAYHUB_RAFT_KEY and PAYHUB_RAFT_CA as well"),
    ],
)
def test_what_does_not_hold_together_is_refused_with_what_to_do(changes: dict[str, str], told: str):
    with pytest.raises(InvalidInputError, match=told) as refused:
        load(EngineSettings, {**THREE, **changes})
    assert refused.value.code == "invalid-settings"


def test_replicas_on_other_machines_need_certificates(tmp_path: Path):
    files = {name: tmp_path / name.lower() for name in ("CERT", "KEY", "CA")}
    paths = {f"PAYHUB_RAFT_{name}": str(file) for name, file in files.items()}
    with pytest.raises(InvalidInputError, match=r"PAYHUB_RAFT_CERT: .*no file"):
        load(EngineSettings, {**FAR, **paths})
    for file in files.values():
        file.touch()
    group = load(EngineSettings, {**FAR, **paths}).group()
    assert group.certificates == Certificates(
        certificate=files["CERT"], key=files["KEY"], authority=files["CA"]
    )
