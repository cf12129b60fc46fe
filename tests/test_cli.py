"""The program as a user meets it: what it says, where, and how it ends."""

import json
import os
import re
import subprocess
import sys
import tomllib

import pytest

from serd.template import template

from .program import one_line


def test_version(serd):
    done = serd("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"serd \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch"], "nosuch"),
        (["classify"], "files"),
        (["enroll", "anna"], "files"),
        (["classify", "--nosuch", "x.wav"], "--nosuch"),
        (["classify", "--format", "xml", "x.wav"], "xml"),
        (["classify", "--jobs", "0", "x.wav"], "--jobs"),
        (["run", "--source"], "--source"),
    ],
)
def test_wrong_usage_is_short_and_ends_with_2(serd, words, said):
    done = serd(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--source", "abc"], "--source abc: not NAME=SPEC"),
        (["run", "--source", "a b=default"], "sources.a b: "),
        (["run", "--source", "mic="], "sources.mic: is empty"),
        (["run", "--source", "mic=file:"], "sources.mic: nothing follows 'file:'"),
        (["run", "--model", "nosuch"], "nosuch: no such model"),
        (["run", "--broker", "http://x"], "mqtt.broker: not mqtt://"),
        (["run", "--broker", "mqtt://me:word@x"], "password into password_file"),
        (["run", "--config", "nosuch.toml"], "nosuch.toml: no such file"),
        (["classify", "--model", "nosuch", "x.wav"], "nosuch: no such model"),
        (["models", "nosuch"], "nosuch: no such model"),
        (["bench", "--model", "nosuch"], "nosuch: no such model"),
        (["watch", "--broker", "none"], "mqtt.broker: "),
        (["config", "check", "nosuch.toml"], "nosuch.toml: no such file"),
        (["config", "init", "/proc/nosuch/serd.toml"], "no such file or directory"),
    ],
)
def test_wrong_words_are_told_in_one_line_and_end_with_2(serd, words, said):
    done = serd(*words)
    one_line(done, 2, said)
    assert done.stdout == ""


def test_without_words_it_shows_what_there_is(serd):
    done = serd()
    assert done.returncode == 2
    for command in (
        "run",
        "classify",
        "enroll",
        "denoise",
        "watch",
        "devices",
        "models",
        "bench",
        "config",
    ):
        assert re.search(rf"^  {command} ", done.stdout + done.stderr, re.MULTILINE)


def test_models_are_listed_and_shown(serd):
    listed = serd("models")
    assert (listed.returncode, listed.stderr) == (0, "")
    for line in listed.stdout.splitlines():
        name, version, size, unit, *what = line.replace(",", "").split()
        assert unit == "kB"
        assert int(size) > 0
        shown = serd("models", name)
        assert (shown.returncode, shown.stderr) == (0, "")
        card = json.loads(shown.stdout)
        assert card["version"] == version
        assert card.get("labels", ["takes", "noise", "out"]) == what


def test_an_unexpected_error_is_a_line_and_with_debug_a_traceback(woman):
    code = "import sys, serd.batch, serd.cli\nserd.batch.classify_files = lambda *_: 1 / 0\n"
    words = [sys.executable, "-c", code + "serd.cli.main()"]
    done = subprocess.run([*words, "classify", woman], capture_output=True, text=True, check=False)
    one_line(done, 2, "unexpected ZeroDivisionError: division by zero")
    done = subprocess.run(
        [*words, "--debug", "classify", woman], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2  # as without it
    assert "Traceback" in done.stderr


# Configuration


def test_what_init_writes_check_finds_good(serd, tmp_path):
    path = tmp_path / "serd.toml"
    printed = serd("config", "init")
    written = serd("config", "init", path)
    assert (written.returncode, written.stdout, written.stderr) == (0, "", "")
    assert path.read_text() == printed.stdout
    tomllib.loads(printed.stdout)
    checked = serd("config", "check", path)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith(f"{path}: good.")


def test_init_takes_a_dash_for_stdout(serd, tmp_path):
    done = serd("config", "init", "-", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == template()
    assert list(tmp_path.iterdir()) == []


def test_init_overwrites_nothing(serd, tmp_path):
    path = tmp_path / "serd.toml"
    path.write_text("precious")
    one_line(serd("config", "init", path), 2, f"{path}: file exists")
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("colour = 1", "colour: unknown key"),
        ("[mqtt]\nbrocker = 'x'", "mqtt.brocker: unknown key"),
        ("node = ", "not TOML"),
        ("[segments]\nframe_ms = 25", "segments.frame_ms: "),
        ("[sources]\nmic = 'file:x.wav?speed=2'", "sources.mic: speed=2: "),
        ("[sources]\nmic = 'exec:\"'", "sources.mic: "),
        ("model = 'nosuch'", "nosuch: no such model"),
        ("[denoise]\nmodel = 'nosuch'", "nosuch: no such model"),
        ("[denoise]\nmodel = 'cnn'", "it recognises emotions and takes no noise out"),
        ("[denoise]\nbelow_snr_db = nan", "denoise.below_snr_db: "),
        ("[denoise]\nbelow_snr_db = true", "denoise.below_snr_db: "),
    ],
)
def test_a_wrong_configuration_is_told_in_one_line(serd, tmp_path, content, said):
    path = tmp_path / "serd.toml"
    path.write_text(content)
    one_line(serd("config", "check", path), 2, said)
    if "sources.mic" not in said:
        one_line(serd("run", "--config", path), 2, said)


LOGIN = '[mqtt]\nbroker = "mqtts://x"\nusername = "ann"\npassword_file = "{}"\n'


def test_check_reads_what_the_daemon_would_log_in_with(serd, tmp_path):
    path, junk = tmp_path / "serd.toml", tmp_path / "junk"
    junk.write_text("no certificate")
    for content, said in (
        (LOGIN.format("/nowhere"), "mqtt.password_file: /nowhere: no such file or directory"),
        (LOGIN.format(junk) + f'ca_file = "{junk}"', f"ca_file: {junk}: no certificates in PEM"),
        (LOGIN.format(junk) + f'certificate_file = "{junk}"', "not, with its key, a pair in PEM"),
        # What cannot be seen hides nothing that can.
        (LOGIN.format("mqtt-password") + f'ca_file = "{junk}"', "no certificates in PEM"),
    ):
        path.write_text(content)
        one_line(serd("config", "check", path), 2, said)
    path.write_text(LOGIN.format(junk))
    assert serd("config", "check", path).returncode == 0


def test_check_says_what_only_the_service_can_read(serd, tmp_path, monkeypatch):
    path = tmp_path / "serd.toml"
    more = 'certificate_file = "/dev/null"\nkey_file = "mqtt-key"\n'
    path.write_text(LOGIN.format("mqtt-password") + more)
    done = serd("config", "check", path)
    assert (done.returncode, done.stderr) == (0, "")
    good, *remarks = done.stdout.splitlines()
    assert good.startswith(f"{path}: good.")
    why = "no such file here; only the service can tell whether it is a credential of systemd"
    assert remarks == [
        f"mqtt.password_file: mqtt-password: {why}",
        f"mqtt.key_file: mqtt-key: {why}",
    ]
    # In the service it would be there.
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    one_line(serd("config", "check", path), 2, "mqtt.password_file: mqtt-password: no such file")


@pytest.mark.parametrize("program", ["serd", "training"])
def test_numpy_shares_no_product_among_threads(program):
    script = f"""\
import os
from {program} import cli

def command():
    import numpy
    numpy.ones((500, 500)) @ numpy.ones((500, 500))
    print(len(os.listdir("/proc/self/task")))

cli.app = command
cli.main()
"""
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "1\n"
