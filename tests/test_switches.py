import pytest

from serd.switches import Switches


def test_what_is_switched_off_stays_off(tmp_path):
    folder = tmp_path / "deep" / "er"
    switches = Switches(folder)
    assert switches.on("mic")
    switches.set("mic", True)  # nothing to undo
    switches.set("mic", False)
    switches.set("mic", False)
    switches.set("cam", False)
    switches.set("cam", True)
    switches.set("cam", True)
    assert [Switches(folder).on(name) for name in ("mic", "cam", "other")] == [False, True, True]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    switches = Switches(tmp_path / "file" / "switched-off")
    assert switches.on("mic")
    with pytest.raises(OSError, match="directory"):
        switches.set("mic", False)


def test_a_state_that_cannot_be_read_silences_nobody(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / ("x" * 5_000)):
        assert Switches(folder).on("mic")
