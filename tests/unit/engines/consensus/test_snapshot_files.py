"""Files of a state on its way: names, sizes and hashes from the network are checked before they count."""

import pytest

from payhub_engines.consensus.errors import SnapshotError
from payhub_engines.consensus.messages import CHUNK_BYTES, SnapshotFile, SnapshotOffer
from payhub_engines.consensus.snapshot_files import (
    PENDING_NAME,
    SNAPSHOT_BYTES_MAX,
    Incoming,
    Pending,
    begin,
    check_offer,
    clear,
    finish,
    manifest,
    mark,
    path_in,
    pending,
    read_chunk,
)

DIGEST = bytes(32)


def offer(*names: str, size: int = 1) -> SnapshotOffer:
    return SnapshotOffer(1, 2, 3, 2, 1, [SnapshotFile(name, size, DIGEST) for name in names])


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "/etc/passwd",
        "a/../b",
        "a//b",
        "a/",
        ".x",
        "a\\b",
        "a\0b",
        "a b",
        "a/b/c/d/e",
        "x" * 129,
    ],
)
def test_names_that_could_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(SnapshotError):
        path_in(tmp_path, name)
    with pytest.raises(SnapshotError):
        check_offer(offer("good", name))


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b/c", "a/b"), ("a/b/c", "a")])
def test_names_that_contradict_each_other_are_refused(names):
    with pytest.raises(SnapshotError):
        check_offer(offer(*names))


def test_what_a_database_writes_is_allowed_and_too_much_is_not(tmp_path):
    names = ("CURRENT", "MANIFEST-000004", "000012.sst", "OPTIONS-000007", "sub/x.log", "sub/y.log")
    check_offer(offer(*names))
    assert path_in(tmp_path, "sub/x.log") == tmp_path / "sub" / "x.log"
    with pytest.raises(SnapshotError):
        check_offer(offer("a", "b", size=SNAPSHOT_BYTES_MAX // 2 + 1))


def made(folder):
    (folder / "sub").mkdir(parents=True)
    (folder / "a.sst").write_bytes(b"x" * (CHUNK_BYTES + 5))
    (folder / "empty").touch()
    (folder / "sub" / "b").write_bytes(b"y")
    return folder


def test_a_copy_arrives_as_it_was(tmp_path):
    source = made(tmp_path / "source")
    files = manifest(source)
    assert [(file.name, file.size) for file in files] == [
        ("a.sst", CHUNK_BYTES + 5),
        ("empty", 0),
        ("sub/b", 1),
    ]
    root = tmp_path / "root"
    incoming = Incoming(begin(root), files)
    for file in files:
        for offset in range(0, max(file.size, 1), CHUNK_BYTES):
            incoming.write(read_chunk(source, file, offset))
    assert manifest(finish(root)) == files
    clear(root)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("data", [b"yy", b"z"])
def test_what_did_not_arrive_as_it_was_is_refused(tmp_path, data):
    source = tmp_path / "source"
    source.mkdir()
    (source / "b").write_bytes(b"y")
    incoming = Incoming(begin(tmp_path / "root"), manifest(source))
    with pytest.raises(SnapshotError, match="did not arrive"):
        incoming.write(data)
    incoming.close()


def test_a_link_in_a_copy_is_not_followed(tmp_path):
    source = made(tmp_path / "source")
    (source / "link").symlink_to("/etc/passwd")
    with pytest.raises(SnapshotError):
        manifest(source)


def test_what_is_pending_is_remembered_until_it_is_cleared(tmp_path):
    root = tmp_path / "root"
    clear(root)
    assert pending(root) is None
    root.mkdir()
    mark(root, Pending(7, 5, 2))
    assert pending(root) == Pending(7, 5, 2)
    for damaged in (b"{", b'{"\xe3ndex":7}'):
        (root / PENDING_NAME).write_bytes(damaged)
        with pytest.raises(SnapshotError):
            pending(root)
    clear(root)
    assert pending(root) is None
