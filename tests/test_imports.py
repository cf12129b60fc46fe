import json
import subprocess
import sys

import pytest

# What only training, or a child process, or a rare option needs.
HEAVY = {"tensorflow", "keras", "librosa", "numba", "sklearn", "matplotlib", "scipy", "amqtt"}
HEAVY |= {"prometheus_client"}


def modules_after(code, *arguments):
    """The top-level modules that a program has loaded at its end."""
    report = "import atexit, json, sys\n@atexit.register\ndef _():\n    "
    report += "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))\n"
    done = subprocess.run(
        [sys.executable, "-c", report + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_command_line_starts_light():
    loaded = modules_after("import serd.cli")
    assert "typer" in loaded
    light = {"numpy", "pydantic", "soundfile", "soxr", "rich", "paho", "sounddevice"}
    assert not loaded & (HEAVY | light)


def test_importtime_sees_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import serd.cli"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "serd.cli" in names
    assert not {name.partition(".")[0] for name in names} & HEAVY


def test_classify_loads_nothing_heavy(woman):
    loaded = modules_after("from serd.cli import main\nmain()", "classify", woman)
    assert "soundfile" in loaded
    assert not loaded & (HEAVY | {"sounddevice", "paho", "sqlite3"})


@pytest.mark.parametrize("module", ["serd.daemon", "serd.subscriber"])
def test_the_daemon_loads_no_sound_driver_and_no_broker(module):
    loaded = modules_after(f"import {module}")
    assert "paho" in loaded
    assert not loaded & (HEAVY | {"sounddevice"})
