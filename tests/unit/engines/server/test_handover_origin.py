from payhub_engines.consensus.disk import FileDisk
from payhub_engines.handover.origin import origin_of


def test_an_origin_lives_as_long_as_its_folder(tmp_path) -> None:
    first = FileDisk(tmp_path / "a")
    origin = origin_of(first, "north")
    assert origin.startswith("north/")
    assert origin_of(first, "north") == origin
    first.close()
    again = FileDisk(tmp_path / "a")
    assert origin_of(again, "north") == origin
    again.close()
    other = FileDisk(tmp_path / "b")
    assert origin_of(other, "north") != origin
    other.close()
