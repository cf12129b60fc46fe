import shutil

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


def test_what_the_disk_did_not_take_is_kept_when_it_is_back(tmp_path, caplog):
    disk = tmp_path / "disk"
    disk.touch()
    switches = Switches(disk / "switched-off")
    assert switches.on("mic")
    switches.set("mic", False)
    switches.mend()
    assert caplog.messages == ["source mic: a restart will undo that: not a directory"]
    assert not switches.on("mic")
    disk.unlink()
    for _ in range(2):
        switches.mend()
    assert caplog.messages[1:] == ["source mic: a restart will not undo that any more"]
    assert not Switches(disk / "switched-off").on("mic")


def test_a_disk_that_is_back_takes_what_was_said_meanwhile(tmp_path, caplog):
    state, away = tmp_path / "state", tmp_path / "away"
    Switches(state / "switched-off").set("mic", False)
    switches = Switches(state / "switched-off")
    switches.set("cam", False)
    state.rename(away)
    switches.set("mic", True)
    switches.mend()
    assert switches.on("mic")
    if state.exists():  # what the daemon made meanwhile is not on the disk either
        shutil.rmtree(state)
    away.rename(state)
    assert switches.on("mic")
    switches.mend()
    again = Switches(state / "switched-off")
    assert [again.on("mic"), again.on("cam")] == [True, False]
    assert caplog.messages == []


def test_switched_on_where_nothing_was_ever_kept_all_is_well(tmp_path, caplog):
    switches = Switches(tmp_path / "state" / "switched-off")
    switches.set("mic", True)
    switches.mend()
    assert caplog.messages == []
    assert not (tmp_path / "state").exists()


def test_a_state_that_cannot_be_read_silences_nobody(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / ("x" * 5_000)):
        assert Switches(folder).on("mic")
