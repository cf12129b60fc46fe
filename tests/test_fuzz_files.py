"""Damaged sound files, configurations and models: an answer or one line, never more.

What fails is named by its number and stays in the test's folder.
"""

import json
import re
import shutil
from itertools import cycle

import pytest
import soundfile

from serd.audio import SAMPLE_RATE
from serd.bundle import find
from serd.template import template

from .fuzzing import Runs, damaged, random

SAMPLES = int(1.2 * SAMPLE_RATE)
LONG = [pytest.mark.system, pytest.mark.timeout(1_800)]


def counts(short, long):
    """A few cases in every test run, all of them in the long trials."""
    return pytest.mark.parametrize("cases", [short, pytest.param(long, marks=LONG)])


@pytest.fixture
def judge(tmp_path):
    """Runs each case's commands as long as they succeed; fails with all that went wrong.

    Gives the exit codes that were seen.
    """

    def run(cases, make):
        bad, seen = [], []
        with Runs(tmp_path) as serd:
            for case in range(cases):
                path, codes, *commands = make(case, random(case))
                why = None
                for arguments in commands:
                    done = serd.run(arguments)
                    seen.append(done.code)
                    why = done.why_bad(codes, chatty=arguments[0] == "run")
                    if why or done.code:
                        break
                if why:
                    bad.append(f"case {case}, {path}, serd {arguments[0]}: {why}")
                elif path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        assert not bad, "\n".join(bad)
        return seen

    return run


@pytest.fixture
def sound(tmp_path, speech):
    """A short one that is as it should be."""
    path = tmp_path / "sound.wav"
    soundfile.write(path, speech[:SAMPLES], SAMPLE_RATE)
    return path


# Sound


SOUNDS = [
    *(("wav", subtype) for subtype in ("PCM_16", "FLOAT", "IMA_ADPCM", "ULAW")),
    *(("flac", "PCM_16"), ("mp3", "MPEG_LAYER_III"), ("ogg", "VORBIS"), ("ogg", "OPUS")),
]


@counts(100, 2_000)
def test_damaged_sound(cases, judge, speech, tmp_path):
    whole = []
    for number, (ending, subtype) in enumerate(SOUNDS):
        path = tmp_path / f"whole-{number}.{ending}"
        soundfile.write(path, speech[:SAMPLES], SAMPLE_RATE, subtype=subtype)
        whole.append((path.read_bytes(), ending))

    def make(case, chance):
        content, ending = whole[case % len(whole)]
        path = tmp_path / f"{case}.{ending}"
        path.write_bytes(damaged(content, chance))
        return path, {0, 1}, ["classify", "--format", "jsonl", path]

    assert set(judge(cases, make)) == {0, 1}


# Configurations


VALUES = [
    *("", "''", "'x'", "'\\u0000'", '"\\u0007\\n"', "'" + "x" * 5_000 + "'", "'./x'"),
    *("0", "-1", "1", "65536", "9223372036854775807", "1" + "0" * 5_000, "0.5", "-0.0", "1e308"),
    *("inf", "-inf", "nan", "true", "false", "1979-05-27T07:32:00Z", "[]", "[1, 'a']", "{}"),
    *(
        "{a = 1}",
        "[" * 2_000,
        "0x",
        "'default'",
        "'none'",
        "'embedded'",
        "'mqtt://'",
        "'mqtt://a:b'",
    ),
    *("'mqtts://[::1'", "'file:'", "'exec:\\''", "'file:x?speed=fast'", "'a/b'", "'+'", "'#'"),
]
KEY = re.compile(r"(\w+) = ")
LINES = re.sub(r"^# (?=\w+ = )", "", template(), flags=re.MULTILINE).splitlines()
PAIRS = [(at, value) for at, line in enumerate(LINES) if KEY.match(line) for value in VALUES]
random(0).shuffle(PAIRS)


def configured(case):
    """A configuration in which one key has another value: each key, in time, each value."""
    at, value = PAIRS[case % len(PAIRS)]
    lines = [*LINES[:at], f"{KEY.match(LINES[at])[0]}{value}", *LINES[at + 1 :]]
    return "\n".join(line for line in lines if not line.startswith("#")).encode()


@counts(60, 2 * len(PAIRS))
def test_damaged_configurations(cases, judge, sound, tmp_path):
    """Also, that what `config check` finds good can be run."""

    def make(case, chance):
        path = tmp_path / f"{case}.toml"
        content = configured(case // 2)
        path.write_bytes(damaged(content, chance, len(content)) if case % 2 else content)
        hear = ["--broker", "none", "--source", f"cam=file:{sound}?speed=max"]
        connect = ["--broker", "mqtt://127.0.0.1:9", "--source", "cam=exec:true"]
        runs = [] if case % 2 else [["run", "--once", "-c", path, *how] for how in (hear, connect)]
        return path, {0, 2}, ["config", "check", path], *runs

    assert set(judge(cases, make)) == {0, 2}


# Models


JUNK = [None, True, 0, 1, -1, 2, 0.5, 1e-300, 1e300, 10**9, 10**18, 10**400, "", "x", "\0", [], {}]
JUNK += [
    "log_mel",
    "scores",
    "embedding",
    "\x1b[2J",
    "x" * 9_999,
    [[]],
    [None],
    {"a": 1},
    ["a", "a"],
]


def places(content, place=()):
    """The way to each value in a JSON document."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield (*place, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*place, key))


def changed(card, chance):
    """A card of which a few values are others, missing, or there twice."""
    card = json.loads(json.dumps(card))
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        *way, last = chance.choice([p for p in places(card) if p[0] != "metrics" or len(p) == 1])
        inner = card
        for key in way:
            inner = inner[key]
        match chance.randrange(6):
            case 0:
                del inner[last]
            case 1:
                twice = inner[last]
                inner.append(twice) if isinstance(inner, list) else inner.update(more=twice)
            case 2 if isinstance(inner[last], (int, float)):
                inner[last] *= chance.choice((-1, 0, 2, 0.5, 1e6))
            case _:
                inner[last] = chance.choice(JUNK)
        if not card:
            break
    return card


@counts(60, 1_000)
def test_damaged_models(cases, judge, sound, tmp_path):
    config = tmp_path / "serd.toml"
    turns = cycle([find("cnn"), find("mlp"), find("denoiser")])

    def make(case, chance):
        whole = next(turns)
        path = tmp_path / f"model-{case}"
        path.mkdir()
        card = (whole / "card.json").read_bytes()
        network = (whole / "model.tflite").read_bytes()
        if case % 4 == 0:  # the hash is not the card's: the runtime must never see it
            network = damaged(network, chance, 4_096) + b"!"
        elif case % 4 == 1:
            card = damaged(card, chance, len(card))
        else:
            card = json.dumps(changed(json.loads(card), chance)).encode()
        (path / "card.json").write_bytes(card)
        (path / "model.tflite").write_bytes(network)
        codes = {0, 2} if case % 4 else {2}
        if whole.name == "denoiser":
            config.write_text(f"[denoise]\nmode = 'on'\nmodel = '{path}'\n")
            return path, codes, ["classify", "--config", config, sound]
        return path, codes, ["classify", "--model", path, sound]

    assert set(judge(cases, make)) == {0, 2}
