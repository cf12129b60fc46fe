import os
from pathlib import Path

import pytest

from training import whole


def test_it_is_there_with_its_folder(tmp_path: Path) -> None:
    whole.write(tmp_path / "a" / "b.txt", "one")
    whole.write(tmp_path / "a" / "b.txt", b"two")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"two"
    assert len(list((tmp_path / "a").iterdir())) == 1
    whole.write_json(tmp_path / "c.json", {"x": [1]})
    assert (tmp_path / "c.json").read_text() == '{\n  "x": [\n    1\n  ]\n}\n'


@pytest.mark.parametrize(("private", "modes"), [(False, [0o755, 0o644]), (True, [0o700, 0o600])])
def test_others_may_read_what_is_not_private(
    private: bool, modes: list[int], tmp_path: Path
) -> None:
    file = tmp_path / "a" / "b.txt"
    umask = os.umask(0o022)
    try:
        whole.write(file, "one", private=private)
    finally:
        os.umask(umask)
    assert [path.stat().st_mode & 0o777 for path in (file.parent, file)] == modes


def test_what_was_there_stays_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.txt"
    whole.write(file, "one")
    write_bytes = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        write_bytes(path, content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        whole.write(file, "two")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert file.read_text() == "one"
