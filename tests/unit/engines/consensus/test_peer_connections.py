"""The connections between replicas, as far as they need no second machine."""

import asyncio

import pytest
from support.ports import free_ports

from payhub_engines.consensus.group import Address, Group
from payhub_engines.consensus.messages import Message, Welcome
from payhub_engines.consensus.peers import TcpNetwork


class Nobody:
    """Implements ``Listener`` and hears nothing."""

    def greet(self, peer: str) -> Welcome:
        raise AssertionError(peer)

    def connected(self, peer: str, welcome: Welcome) -> None:
        raise AssertionError(peer, welcome)

    def disconnected(self, peer: str) -> None:
        raise AssertionError(peer)

    def received(self, peer: str, message: Message) -> None:
        raise AssertionError(peer, message)


@pytest.mark.timeout(20)
async def test_it_stops_also_in_the_moment_in_which_a_peer_is_to_be_dialed_again():
    addresses = {str(number): Address("127.0.0.1", port) for number, port in enumerate(free_ports(3), 1)}
    network = TcpNetwork(Group(cluster="north", replica="1", addresses=addresses, certificates=None))
    await network.start(Nobody())
    await asyncio.sleep(0)
    for _ in range(50):  # until both peers have refused, and it waits to dial them again
        await asyncio.sleep(0.001)
    for redial in network._redial.values():
        redial.set()
    async with asyncio.timeout(10):
        await network.stop()
