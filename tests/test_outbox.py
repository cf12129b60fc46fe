import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from serd.outbox import Outbox, OutboxError

DAY_S = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 1e9

    def __call__(self) -> float:
        return self.now_s


def fill(outbox: Outbox, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        outbox.put(f"id{number}", "topic", f"payload{number}")


def ids(outbox: Outbox) -> list[str]:
    return [event.id for event in outbox.waiting(10_000)[0]]


@pytest.mark.parametrize("path", [None, ":memory:", "outbox.db"])
def test_in_order_until_deleted(path, tmp_path):
    outbox = Outbox(tmp_path / path if path == "outbox.db" else path, 100, DAY_S)
    fill(outbox, 5)
    first, seen = outbox.waiting(2)
    assert [(event.id, event.payload) for event in first] == [
        ("id0", "payload0"),
        ("id1", "payload1"),
    ]
    assert seen == first[-1].seq
    assert [event.id for event in outbox.waiting(9, after=seen)[0]] == ["id2", "id3", "id4"]
    outbox.delete("id1")
    outbox.delete("id1")
    outbox.delete("never there")
    assert ids(outbox) == ["id0", "id2", "id3", "id4"]
    assert len(outbox) == 4
    assert outbox.dropped == 0


def test_the_same_event_twice_is_one():
    outbox = Outbox(None, 100, DAY_S)
    fill(outbox, 2)
    outbox.put("id0", "topic", "other")
    assert [event.payload for event in outbox.waiting(9)[0]] == ["payload0", "payload1"]
    assert len(outbox) == 2


def test_places_are_never_given_twice(tmp_path):
    outbox = Outbox(tmp_path / "outbox.db", 100, DAY_S)
    fill(outbox, 1)
    (old,), _ = outbox.waiting(9)
    outbox.delete("id0")
    fill(outbox, 1, first=1)
    (new,), _ = outbox.waiting(9)
    assert new.seq > old.seq


def test_some_topics_can_be_left_out():
    outbox = Outbox(None, 100, DAY_S)
    for number in range(6):
        outbox.put(f"id{number}", f"topic{number % 2}", "payload")
    waiting, seen = outbox.waiting(2, without=["topic0"])
    assert [event.id for event in waiting] == ["id1", "id3"]
    assert seen == waiting[-1].seq
    waiting, seen = outbox.waiting(2, seen, without=["topic0", "topic1"])
    assert waiting == []
    # What is left out need not be looked at again.
    fill(outbox, 1, first=6)
    assert [event.id for event in outbox.waiting(9, seen, without=["topic0"])[0]] == ["id6"]


def test_too_many_drops_the_oldest():
    outbox = Outbox(None, 3, DAY_S)
    fill(outbox, 5)
    assert ids(outbox) == ["id2", "id3", "id4"]
    assert (len(outbox), outbox.dropped) == (3, 2)


def test_too_old_is_dropped():
    clock = Clock()
    outbox = Outbox(None, 100, DAY_S, clock)
    fill(outbox, 2)
    clock.now_s += DAY_S / 2
    fill(outbox, 1, first=2)
    clock.now_s += DAY_S / 2 + 1
    assert ids(outbox) == ["id2"]
    assert (len(outbox), outbox.dropped) == (1, 2)


def test_bounds_hold_for_what_an_earlier_run_left(tmp_path):
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, 100, DAY_S)
    fill(outbox, 10)
    outbox.close()
    outbox = Outbox(path, 4, DAY_S)
    assert ids(outbox) == ["id6", "id7", "id8", "id9"]
    assert outbox.dropped == 6


def test_survives_sigkill(tmp_path):
    path = tmp_path / "deep" / "er" / "outbox.db"
    program = (
        "import os, signal\n"
        "from serd.outbox import Outbox\n"
        f"outbox = Outbox({str(path)!r}, 100, 86400)\n"
        "for number in range(20): outbox.put(f'id{number}', 'topic', 'payload')\n"
        "outbox.delete('id3')\n"
        f"os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode < 0
    outbox = Outbox(path, 100, DAY_S)
    assert ids(outbox) == [f"id{number}" for number in range(20) if number != 3]


def spoil_all(path: Path) -> None:
    path.write_bytes(b"this is no database, but long enough to look at " * 100)


def spoil_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)


@pytest.mark.parametrize("spoil", [spoil_all, spoil_pages])
def test_a_corrupt_file_is_moved_aside(spoil, tmp_path, caplog):
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, 10_000, DAY_S)
    fill(outbox, 300)
    outbox.close()
    spoil(path)
    spoiled = path.read_bytes()
    outbox = Outbox(path, 10_000, DAY_S)
    assert len(outbox) == 0
    assert (tmp_path / "outbox.db.corrupt").read_bytes() == spoiled
    assert "corrupt" in caplog.text
    fill(outbox, 2)
    outbox.close()
    assert ids(Outbox(path, 10_000, DAY_S)) == ["id0", "id1"]


@pytest.mark.parametrize(
    ("setting", "reason"), [("max_page_count=1", "full"), ("query_only=1", "readonly")]
)
def test_a_disk_that_fails_loses_nothing_and_is_used_again(setting, reason, tmp_path):
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, 10_000, DAY_S)
    fill(outbox, 50)
    first = outbox.waiting(1)[0][0]
    outbox._connection.execute(f"PRAGMA {setting}")
    outbox.put("big", "topic", "x" * 500_000)
    assert reason in outbox.not_on_disk
    assert outbox.not_on_disk.endswith("; events wait in memory only")
    everything = [*(f"id{number}" for number in range(50)), "big"]
    assert ids(outbox) == everything
    # What is delivered meanwhile is not delivered again, and what comes stays behind the rest.
    outbox.delete(first.id)
    outbox.delete("id7")
    outbox.put("afterwards", "topic", "payload")
    left = [*(one for one in everything if one not in ("id0", "id7")), "afterwards"]
    assert ids(outbox) == left
    changes = outbox.changes
    outbox.mend()
    assert outbox.changes == changes + 1
    assert outbox.not_on_disk is None
    assert ids(outbox) == left
    assert len(outbox) == len(left)
    outbox.close()
    assert ids(Outbox(path, 10_000, DAY_S)) == left


def test_places_that_change_are_not_taken_for_those_before(tmp_path):
    outbox = Outbox(tmp_path / "outbox.db", 10_000, DAY_S)
    fill(outbox, 5)
    outbox.delete("id0")
    outbox.put("id0", "topic", "payload")  # is now the last one
    _, seen = outbox.waiting(3)
    outbox._connection.close()
    assert outbox.waiting(10, seen) == ([], seen)
    assert ids(outbox) == []  # a closed file cannot be read; one that is lost is like that


def test_what_can_be_read_of_a_damaged_file_still_waits(tmp_path):
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, 10_000, DAY_S)
    for number in range(40):
        outbox.put(f"id{number}", "topic", "x" * 3_000)
    outbox.close()
    outbox = Outbox(path, 10_000, DAY_S)
    with path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * 8 * 4096)
    outbox._connection.execute("PRAGMA cache_size=1")
    outbox._connection.execute("PRAGMA shrink_memory")
    assert outbox.waiting(100)[0] == []
    left = ids(outbox)
    assert 5 < len(left) < 40
    outbox.mend()
    assert outbox.not_on_disk is None
    assert ids(outbox) == left
    assert path.with_name("outbox.db.corrupt").exists()


def test_what_neither_disk_nor_broker_took_is_said(tmp_path, caplog):
    outbox = away(tmp_path / "disk" / "outbox.db")
    fill(outbox, 2)
    outbox.close()
    assert "events that neither disk nor broker took are lost: 2" in caplog.text


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match="outbox"):
        Outbox(tmp_path / "file" / "outbox.db", 10, DAY_S)


def test_only_one_process_has_it(tmp_path, monkeypatch):
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, 10, DAY_S)
    fill(outbox, 1)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k | {"timeout": 0}))
    with pytest.raises(OutboxError, match="locked"):
        Outbox(path, 10, DAY_S)
    assert ids(outbox) == ["id0"]
    assert not path.with_name("outbox.db.corrupt").exists()


def test_threads_share_it(tmp_path):
    outbox = Outbox(tmp_path / "outbox.db", 10_000, DAY_S)

    def work(first: int) -> None:
        fill(outbox, 50, first)
        for number in range(first, first + 25):
            outbox.delete(f"id{number}")

    threads = [threading.Thread(target=work, args=(i * 100,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outbox) == len(ids(outbox)) == 100


def away(path: Path) -> Outbox:
    """One whose disk is not there: a file stands where its folder should be."""
    path.parent.touch()
    return Outbox(path, 100, DAY_S, not_on_disk="the disk is away")


def test_a_disk_that_comes_back_gets_what_waited_in_memory(tmp_path):
    path = tmp_path / "disk" / "outbox.db"
    before = Outbox(tmp_path / "before.db", 100, DAY_S)
    fill(before, 2)
    before.close()
    outbox = away(path)
    fill(outbox, 2, first=2)
    outbox.mend()
    assert "file exists; events wait in memory only" in outbox.not_on_disk
    path.parent.unlink()
    path.parent.mkdir()
    (tmp_path / "before.db").rename(path)
    outbox.mend()
    assert outbox.not_on_disk is None
    fill(outbox, 1, first=4)
    assert len(outbox) == 5
    outbox.close()
    assert ids(Outbox(path, 100, DAY_S)) == [f"id{number}" for number in range(5)]


def test_nobody_else_may_read_it(tmp_path):
    umask = os.umask(0o022)
    try:
        there = tmp_path / "there"
        there.mkdir(0o755)
        outbox = Outbox(there / "deep" / "er" / "outbox.db", 100, DAY_S)
        fill(outbox, 1)
    finally:
        os.umask(umask)
    modes = {str(one.relative_to(there)): one.stat().st_mode & 0o777 for one in there.rglob("*")}
    assert modes.pop("deep") == modes.pop("deep/er") == 0o700
    assert set(modes) >= {"deep/er/outbox.db", "deep/er/outbox.db-wal"}
    assert set(modes.values()) == {0o600}
    assert there.stat().st_mode & 0o777 == 0o755
