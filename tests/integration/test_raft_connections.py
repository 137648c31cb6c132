"""Connections between replicas: who is let in, and what ends a connection without harm to the replica."""

import asyncio
import logging
import ssl
import struct

import pytest
from integration.raft_certificates import Authority
from support.ports import free_ports

from payhub_engines.consensus import peers
from payhub_engines.consensus.errors import GroupSettingsError, PeerRefusedError
from payhub_engines.consensus.group import Address, Certificates, Group, parse_addresses, tls_contexts
from payhub_engines.consensus.messages import (
    MESSAGE_BYTES_MAX,
    AppendEntries,
    Hello,
    Vote,
    Welcome,
    encode,
)
from payhub_engines.consensus.peers import TcpNetwork

WAIT_S = 30.0
MEMBERS = ["1", "2", "3"]


class Ear:
    """Implements ``Listener``: keeps what it hears."""

    def __init__(self) -> None:
        self.connections: list[str] = []
        self.ended: list[str] = []
        self.greeted: list[str] = []
        self.messages: list[tuple[str, object]] = []

    def greet(self, peer):
        self.greeted.append(peer)
        return Welcome(is_known=False, has_history=True)

    def connected(self, peer, welcome):
        assert welcome.has_history
        self.connections.append(peer)

    def disconnected(self, peer):
        self.ended.append(peer)

    def received(self, peer, message):
        self.messages.append((peer, message))

    def arrived(self):
        self.has_arrived = True


async def until(condition) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("certificates")
    authority = Authority()
    for name in MEMBERS:
        authority.write(made, name, f"payhub://north/{name}")
    authority.write(made, "south-2", "payhub://south/2")
    authority.write(made, "nobody")
    authority.write(made, "two", "payhub://north/2", "payhub://north/3")
    foreign = made / "foreign"
    foreign.mkdir()
    Authority().write(foreign, "2", "payhub://north/2")
    (foreign / "trusting.pem").write_bytes((made / "ca.pem").read_bytes())
    return made


def certificates(folder, name: str) -> Certificates:
    return Certificates(folder / f"{name}.pem", folder / f"{name}.key", folder / "ca.pem")


@pytest.fixture
def addresses():
    return {name: Address("127.0.0.1", port) for name, port in zip(MEMBERS, free_ports(3), strict=True)}


@pytest.fixture
async def first(folder, addresses):
    """Replica 1, waiting for the others."""
    network = TcpNetwork(Group("north", "1", addresses, certificates(folder, "1")))
    ear = Ear()
    await network.start(ear)
    yield network, ear
    await network.stop()


async def speak(address: Address, context, *frames: bytes) -> bytes:
    """Connect, send frames, and return what is answered until the other side closes."""
    reader, writer = await asyncio.open_connection(*address, ssl=context)
    for frame in frames:
        writer.write(struct.pack(">I", len(frame)) + frame)
    try:
        async with asyncio.timeout(WAIT_S):
            return await reader.read()
    except (ConnectionError, ssl.SSLError):
        return b""
    finally:
        writer.close()


async def test_replicas_find_each_other_and_messages_arrive_in_order(folder, addresses, first):
    network, ear = first
    other, other_ear = TcpNetwork(Group("north", "2", addresses, certificates(folder, "2"))), Ear()
    await other.start(other_ear)
    await until(lambda: "2" in ear.connections and "1" in other_ear.connections)
    sent = [Vote(term) for term in range(1, 500)]
    sent.append(AppendEntries(1, 2, 3, 4, 5, [(1, bytes(4_000_000)), (1, b"x")]))
    for message in sent:
        network.send("2", message)
        network.send("3", message)  # which is not there
    await until(lambda: len(other_ear.messages) == len(sent))
    assert other_ear.messages == [("1", message) for message in sent]
    await other.stop()
    await until(lambda: ear.ended == ["2"])
    again, again_ear = TcpNetwork(Group("north", "2", addresses, certificates(folder, "2"))), Ear()
    await again.start(again_ear)
    await until(lambda: ear.connections == ["2", "2"] and again_ear.connections == ["1"])
    await again.stop()


@pytest.mark.parametrize("name", ["south-2", "nobody", "two", "3"])
async def test_a_certificate_of_somebody_else_is_refused(folder, addresses, first, name, caplog):
    _, ear = first
    with caplog.at_level(logging.WARNING):
        answer = await speak(
            addresses["1"],
            tls_contexts(certificates(folder, name))[1],
            encode(Hello("north", "2", "1", MEMBERS)),
        )
    assert (answer, ear.greeted) == (b"", [])
    assert "peer-refused" in caplog.text or "group-settings" in caplog.text


async def test_a_certificate_of_another_authority_is_refused(folder, addresses, first):
    _, ear = first
    foreign = folder / "foreign"
    paths = Certificates(foreign / "2.pem", foreign / "2.key", foreign / "trusting.pem")
    hello = encode(Hello("north", "2", "1", MEMBERS))
    assert await speak(addresses["1"], tls_contexts(paths)[1], hello) == b""
    assert ear.greeted == []


async def test_who_dials_refuses_a_wrong_answerer(folder, addresses, first):
    # At the address of replica 2 answers one with the certificate of another engine, then of replica 3.
    network, ear = first
    for name in ("south-2", "3"):
        context = tls_contexts(certificates(folder, name))[0]
        heard: list[bytes] = []

        async def answer(reader, writer, heard=heard):
            try:
                heard.append(await reader.read(100))
            except ConnectionError:
                heard.append(b"")
            writer.close()

        server = await asyncio.start_server(answer, *addresses["2"], ssl=context)
        network._redial["2"].set()
        await until(lambda heard=heard: heard)
        assert heard[0] == b""
        server.close()
        await server.wait_closed()
    assert ear.connections == []


async def test_plain_text_is_refused(addresses, first):
    _, ear = first
    hello = encode(Hello("north", "2", "1", MEMBERS))
    answer = await speak(addresses["1"], None, hello)
    assert ear.greeted == []
    assert b"north" not in answer


@pytest.mark.parametrize(
    "hello",
    [
        Hello("south", "2", "1", MEMBERS),
        Hello("north", "2", "3", MEMBERS),
        Hello("north", "2", "1", ["1", "2", "4"]),
        Hello("north", "2", "1", MEMBERS, version=2),
        Hello("north", "3", "1", MEMBERS),
    ],
)
async def test_a_hello_that_does_not_fit_is_refused(folder, addresses, first, hello):
    _, ear = first
    answer = await speak(addresses["1"], tls_contexts(certificates(folder, "2"))[1], encode(hello))
    assert (answer, ear.greeted) == (b"", [])


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff",
        struct.pack(">I", MESSAGE_BYTES_MAX + 1),
        struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        struct.pack(">I", 0),
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", len(encode(Vote(-1)))) + encode(Vote(-1)),
    ],
)
@pytest.mark.parametrize("is_greeted", [False, True])
async def test_garbage_ends_the_connection_and_nothing_else(folder, addresses, first, garbage, is_greeted):
    _, ear = first
    context = tls_contexts(certificates(folder, "2"))[1]
    reader, writer = await asyncio.open_connection(*addresses["1"], ssl=context)
    if is_greeted:
        hello = encode(Hello("north", "2", "1", MEMBERS))
        writer.write(struct.pack(">I", len(hello)) + hello)
        assert await reader.read(100)
    writer.write(garbage)
    async with asyncio.timeout(WAIT_S):
        assert await reader.read() == b""
    writer.close()
    assert ear.messages == []
    assert await speak_hello(addresses["1"], context)


async def speak_hello(address: Address, context) -> bytes:
    reader, writer = await asyncio.open_connection(*address, ssl=context)
    hello = encode(Hello("north", "2", "1", MEMBERS))
    writer.write(struct.pack(">I", len(hello)) + hello)
    answer = await reader.read(100)
    writer.close()
    return answer


async def test_who_says_nothing_is_sent_away(folder, addresses, first, monkeypatch):
    monkeypatch.setattr(peers, "GREETING_S", 0.2)
    _, ear = first
    assert await speak(addresses["1"], tls_contexts(certificates(folder, "2"))[1]) == b""
    assert ear.greeted == []


async def test_a_peer_that_does_not_read_costs_bounded_memory(folder, addresses, first):
    network, ear = first
    context = tls_contexts(certificates(folder, "2"))[0]
    release = asyncio.Event()

    async def deaf(reader, writer):
        await reader.read(1000)
        welcome = encode(Welcome(is_known=False, has_history=True))
        writer.write(struct.pack(">I", len(welcome)) + welcome)
        await release.wait()
        writer.close()

    server = await asyncio.start_server(deaf, *addresses["2"], ssl=context)
    network._redial["2"].set()
    await until(lambda: ear.connections == ["2"])
    for _ in range(20):
        network.send("2", AppendEntries(1, 2, 3, 4, 5, [(1, bytes(4_000_000))]))
    await until(lambda: ear.ended[:1] == ["2"])
    release.set()
    server.close()


def test_without_certificates_only_loopback_is_allowed():
    plain = {name: Address("127.0.0.1", 7000 + int(name)) for name in MEMBERS}
    TcpNetwork(Group("north", "1", plain))
    with pytest.raises(GroupSettingsError, match="need certificates"):
        TcpNetwork(Group("north", "1", {**plain, "2": Address("10.0.0.2", 7000)}))
    with pytest.raises(GroupSettingsError, match="need certificates"):
        TcpNetwork(Group("north", "1", {**plain, "1": Address("0.0.0.0", 7000)}))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1=127.0.0.1:1,2=127.0.0.1:2", "1, 3 or 5"),
        ("2=127.0.0.1:1,3=127.0.0.1:2,4=127.0.0.1:3", "not among its peers"),
        ("1=127.0.0.1:1,1=127.0.0.1:2", "twice"),
        ("1=127.0.0.1", "form id=host:port"),
        ("1=127.0.0.1:99999", "form id=host:port"),
        ("1=127.0.0.1:1,../x=127.0.0.1:2,3=127.0.0.1:3", "is no id"),
    ],
)
def test_settings_that_make_no_group_are_refused(text, why):
    with pytest.raises(GroupSettingsError, match=why):
        Group("north", "1", parse_addresses(text)).check()


def test_addresses_are_read():
    found = parse_addresses("1=a.example:70, 2=[::1]:71")
    assert found == {"1": Address("a.example", 70), "2": Address("::1", 71)}


@pytest.mark.usefixtures("first")
async def test_certificates_that_cannot_be_read_and_ports_in_use_are_told(folder, addresses):
    with pytest.raises(GroupSettingsError, match="three PEM files"):
        tls_contexts(Certificates(folder / "1.pem", folder / "2.key", folder / "ca.pem"))
    with pytest.raises(GroupSettingsError, match="three PEM files"):
        tls_contexts(certificates(folder, "none"))
    taken = TcpNetwork(Group("north", "2", {**addresses, "2": addresses["1"]}, certificates(folder, "2")))
    with pytest.raises(PeerRefusedError, match="cannot listen"):
        await taken.start(Ear())
    await taken.stop()


@pytest.mark.parametrize("rounds", range(8))
async def test_a_network_stops_even_while_a_peer_just_called(folder, addresses, rounds):
    # Up to Python 3.11 ``asyncio.wait_for`` swallows a cancellation that meets its result.
    network = TcpNetwork(Group("north", "1", addresses, certificates(folder, "1")))
    await network.start(Ear())
    await asyncio.sleep(0.02)  # nobody answers: it waits to dial again
    network._redial["2"].set()
    for _ in range(rounds):
        await asyncio.sleep(0)
    await asyncio.wait_for(network.stop(), WAIT_S)
