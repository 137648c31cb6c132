"""The settings of a group: who its members are, where they listen, by what certificates they are known."""

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from payhub_engines.consensus.errors import GroupSettingsError
from payhub_engines.consensus.messages import ID_CHARS_MAX

SIZES: Final = (1, 3, 5)
_ID: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9-]{{0,{ID_CHARS_MAX - 1}}}")
_SCHEME: Final = "payhub"


class Address(NamedTuple):
    """Where a replica listens."""

    host: str
    port: int


class Certificates(msgspec.Struct, frozen=True):
    """PEM files: this replica's certificate and key, and the authority that signs for the group alone."""

    certificate: Path
    key: Path
    authority: Path


class Group(msgspec.Struct, frozen=True):
    """One replica's view of its group.

    Attributes:
        cluster: the engine's id.
        replica: this replica's id.
        addresses: of all replicas, this one included.
        certificates: None only where all addresses are loopback.
    """

    cluster: str
    replica: str
    addresses: dict[str, Address]
    certificates: Certificates | None = None

    def check(self) -> None:
        """Check what the parts say together.

        Raises:
            GroupSettingsError: the group would not work, or not be safe.
        """
        for name in (self.cluster, *self.addresses):
            if not _ID.fullmatch(name):
                raise GroupSettingsError(f"{name!r} is no id: use letters, digits and hyphens.")
        if len(self.addresses) not in SIZES:
            raise GroupSettingsError(f"A group has 1, 3 or 5 replicas, not {len(self.addresses)}.")
        if self.replica not in self.addresses:
            raise GroupSettingsError(f"Replica {self.replica} is not among its peers; name it there too.")
        if self.certificates is None and not all(is_loopback(each) for each in self.addresses.values()):
            detail = "Replicas on other machines need certificates; without them only 127.0.0.1 is allowed."
            raise GroupSettingsError(detail)


def parse_addresses(text: str) -> dict[str, Address]:
    """Read ``1=host:port,2=host:port,3=host:port``; an IPv6 address stands in brackets.

    Raises:
        GroupSettingsError: it cannot be read.
    """
    found: dict[str, Address] = {}
    for item in (part.strip() for part in text.split(",") if part.strip()):
        replica, equals, address = item.partition("=")
        host, colon, port = address.rpartition(":")
        if not equals or not colon or not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise GroupSettingsError(f"{item!r} is not of the form id=host:port.")
        if replica in found:
            raise GroupSettingsError(f"Replica {replica} is named twice.")
        found[replica] = Address(host.removeprefix("[").removesuffix("]"), int(port))
    return found


def identity_uri(cluster: str, replica: str) -> str:
    """Return the URI that a replica's certificate carries as subject alternative name."""
    return f"{_SCHEME}://{cluster}/{replica}"


def replica_of(certificate: object, cluster: str) -> str:
    """Return the replica that a verified certificate belongs to.

    Args:
        certificate: as ``ssl`` returns it.
        cluster: the engine that it must be of.

    Raises:
        GroupSettingsError: it names none, several, or one of another engine.
    """
    names = certificate.get("subjectAltName", ()) if isinstance(certificate, dict) else ()
    uris = [value for kind, value in names if kind == "URI" and value.startswith(f"{_SCHEME}://")]
    prefix = identity_uri(cluster, "")
    if len(uris) != 1 or not uris[0].startswith(prefix) or not _ID.fullmatch(uris[0][len(prefix) :]):
        raise GroupSettingsError(f"The certificate is not of one replica of {cluster}: {uris}.")
    return str(uris[0][len(prefix) :])


def tls_contexts(certificates: Certificates) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return how to accept and to make connections: TLS 1.3, both sides verified by the group's authority.

    Raises:
        GroupSettingsError: a file cannot be read, or key and certificate do not fit.
    """
    contexts = (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    for context in contexts:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # the URI in the certificate is who it is, wherever it runs
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(certificates.certificate, certificates.key)
            context.load_verify_locations(certificates.authority)
        except (OSError, ssl.SSLError) as error:
            detail = f"The certificates of the group cannot be used: {error}. Check the three PEM files."
            raise GroupSettingsError(detail) from error
    return contexts


def is_loopback(address: Address) -> bool:
    """Tell whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return address.host == "localhost"
