"""What several tests need: recordings, the models' folders, and the program as a user types it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from serd.audio import Floats, pcm_to_float, read

settings.register_profile("serd", deadline=None)  # no test holds the clock
settings.load_profile("serd")
# Under nohup it is ignored, and all that the tests start would ignore it too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).parent.parent

Serd = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def woman() -> Path:
    """Four sentences of real speech, 15 s."""
    return ROOT / "demo" / "woman.flac"


@pytest.fixture(scope="session")
def man() -> Path:
    """Four sentences of real speech, 15 s."""
    return ROOT / "demo" / "man.flac"


@pytest.fixture(scope="session")
def speech(woman: Path) -> Floats:
    """The woman's samples, at serd's rate."""
    return pcm_to_float(read(woman))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of corpora, which are not part of the project."""
    folder = os.environ.get("SERD_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("$SERD_DATA names no folder of corpora")
    return Path(folder)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to survive a restart is kept in an empty folder, and not at the user's home."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)


@pytest.fixture
def command() -> list[str]:
    """What `serd` is here."""
    return [sys.executable, "-m", "serd.cli"]


@pytest.fixture
def serd(command: list[str]) -> Serd:
    """Runs a command to its end, and makes sure that nothing it says is a traceback."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        words = [*command, *(arg if isinstance(arg, bytes) else str(arg) for arg in arguments)]
        wanted = {"capture_output": True, "text": True, "errors": "surrogateescape"} | options
        done = subprocess.run(words, check=False, timeout=90, **wanted)
        assert "Traceback" not in f"{done.stdout}{done.stderr}"
        assert done.returncode != -signal.SIGSEGV
        return done

    return run
