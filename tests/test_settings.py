import re
import socket
from pathlib import Path

import pytest
from pydantic import ValidationError

from serd.settings import SegmentSettings, Settings, SettingsError, load


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "serd.toml"
    path.write_text(text, "utf-8")
    return path


def failure(path: Path | None, **overrides: object) -> str:
    """Why it is refused, checked to be one line that begins with the file."""
    with pytest.raises(SettingsError) as error:
        load(path, **overrides)
    message = str(error.value)
    assert "\n" not in message
    assert path is None or message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


# Defaults


def test_everything_has_a_default(tmp_path):
    assert load() == Settings() == load(write(tmp_path, ""))
    assert load().sources == {"mic": "default"}
    assert load().mqtt.broker == "mqtt://localhost:1883"


def test_defaults_satisfy_their_own_rules():
    defaults = Settings().model_dump()
    assert Settings.model_validate(defaults) == Settings()


@pytest.mark.parametrize("host", ["pi.local", "Küche box", "x" * 80, "a/b+c#"])
def test_any_host_name_makes_a_node_name(monkeypatch, host):
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", load().node)


def test_a_nameless_host_is_called_serd(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "")
    assert load().node == "serd"


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        load().node = "other"


# A file and what takes precedence over it

FILE = """
node = "kitchen"

[sources]
mic = "hw:1,0"
door = "exec:ffmpeg -i rtsp://cam -f s16le -ar 16000 -ac 1 -"

[segments]
vad_aggressiveness = 3
speech_pad_ms = 100

[mqtt]
broker = "mqtts://broker.lan:8883"
username = "serd"
"""


def test_a_file_is_read_and_the_rest_stays_default(tmp_path):
    settings = load(write(tmp_path, FILE))
    assert settings.node == "kitchen"
    assert list(settings.sources) == ["mic", "door"]
    assert settings.segments == SegmentSettings(vad_aggressiveness=3, speech_pad_ms=100)
    assert settings.mqtt.broker == "mqtts://broker.lan:8883"
    assert settings.outbox == Settings().outbox


def test_overrides_go_before_the_file(tmp_path):
    path = write(tmp_path, FILE)
    assert load(path, node="hall").node == "hall"
    assert load(path, node=None).node == "kitchen"


def test_a_table_is_merged_key_by_key(tmp_path):
    mqtt = load(write(tmp_path, FILE), mqtt={"broker": "none"}).mqtt
    assert mqtt.broker == "none"
    assert mqtt.username == "serd"
    assert load(mqtt={"broker": "none"}).mqtt.broker == "none"


def test_sources_are_replaced_as_a_whole(tmp_path):
    settings = load(write(tmp_path, FILE), sources={"talk": "file:talk.wav?speed=max"})
    assert settings.sources == {"talk": "file:talk.wav?speed=max"}


def test_a_wrong_override_is_refused_like_a_wrong_file():
    assert failure(None, mqtt={"broker": "http://x"}).startswith("mqtt.broker: ")
    assert failure(None, sources={"a b": "default"}).startswith("sources.a b: ")


@pytest.mark.parametrize(
    "broker",
    [
        "mqtt://h",
        "mqtt://h:1883",
        "mqtt://h/",
        "mqtts://h",
        "mqtt://[::1]:1883",
        "embedded",
        "none",
    ],
)
def test_brokers(broker):
    assert load(mqtt={"broker": broker}).mqtt.broker == broker


# Failures


def test_a_missing_file(tmp_path):
    assert failure(tmp_path / "missing.toml") == "no such file or directory"


def test_a_directory(tmp_path):
    assert failure(tmp_path) == "is a directory"


@pytest.mark.parametrize("content", [b"node = ", b"[mqtt", b"\xff\xfe", b"\x00", b'a = """\n\n'])
def test_what_is_not_toml(tmp_path, content):
    path = tmp_path / "serd.toml"
    path.write_bytes(content)
    assert failure(path).startswith("not TOML: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("volume = 3", "volume: unknown key"),
        ("[mqtt]\nhost = 'h'", "mqtt.host: unknown key"),
        ("[segments]\nframe = 10", "segments.frame: unknown key"),
        ("mqtt = 'localhost'", "mqtt: "),
        ("node = 'a/b'", "node: not a name: at most 64 of A-Z, a-z, 0-9, - and _"),
        ("node = ''", "node: not a name: "),
        ('node = "pi\\n"', "node: not a name: "),
        ("[sources]", "sources: "),
        ("[sources]\nmic = ''", "sources.mic: is empty"),
        ("[sources]\nmic = 'file:'", "sources.mic: nothing follows 'file:'"),
        ("[sources]\nmic = 'exec:'", "sources.mic: nothing follows 'exec:'"),
        ("[sources]\n'a/b' = 'default'", "sources.a/b: not a name: "),
        ("[mqtt]\nbroker = 'localhost'", "mqtt.broker: not mqtt://"),
        ("[mqtt]\nbroker = 'http://h'", "mqtt.broker: not mqtt://"),
        ("[mqtt]\nbroker = 'mqtt://'", "mqtt.broker: not mqtt://"),
        ("[mqtt]\nbroker = 'mqtt://h:x'", "mqtt.broker: "),
        ("[mqtt]\nbroker = 'mqtt://h:65536'", "mqtt.broker: "),
        ("[mqtt]\nbroker = 'mqtt://[::1'", "mqtt.broker: "),
        ("[mqtt]\nbroker = 'mqtt://h/path'", "mqtt.broker: nothing can follow"),
        ("[mqtt]\nbroker = 'mqtt://h:1883?tls'", "mqtt.broker: nothing can follow"),
        ("[mqtt]\nbroker = 'mqtt://me:secret@h'", "mqtt.broker: put the user into username"),
        ("[mqtt]\nbroker = 'mqtt://a..b'", "mqtt.broker: "),
        ("[mqtt]\nprotocol = '4'", "mqtt.protocol: "),
        ("[mqtt]\npassword = 'secret'", "mqtt.password: unknown key"),
        ("[mqtt]\npassword_file = 'p'", "mqtt: password_file without a username"),
        ("[mqtt]\nkey_file = 'k'", "mqtt: key_file without a certificate_file"),
        ("[mqtt]\nca_file = 'c'", "mqtt: ca_file and certificate_file need mqtts://"),
        ("[mqtt]\ntopic_prefix = '/a'", "mqtt.topic_prefix: "),
        ("[mqtt]\ntopic_prefix = 'a/#'", "mqtt.topic_prefix: "),
        ('[mqtt]\ntopic_prefix = "a\\u0000"', "mqtt.topic_prefix: "),
        ('[mqtt]\npassword_file = "\\u0000"', "mqtt.password_file: has a character"),
        ("[mqtt]\nkeepalive_s = " + "1" * 5_000, "not TOML: "),
        ("[mqtt]\nkeepalive_s = " + "[" * 5_000, "not TOML: "),
        ("[mqtt]\nkeepalive_s = 1", "mqtt.keepalive_s: "),
        ("[mqtt]\nembedded_port = 65536", "mqtt.embedded_port: "),
        ("[adaptation]\nbaseline = 'a b'", "adaptation.baseline: "),
        ("[adaptation]\nprior = 3", "adaptation.prior: unknown key"),
        ("[outbox]\nmax_events = 0", "outbox.max_events: "),
        ("[outbox]\nmax_age_h = 0", "outbox.max_age_h: "),
        ("[state]\nhalf_life_s = 0", "state.half_life_s: "),
        ("[state]\nhalf_life_s = nan", "state.half_life_s: "),
        ("[state]\nidle_after_s = -1", "state.idle_after_s: "),
        ("[state]\nidle_after_s = 1e308", "state.idle_after_s: "),
        ('[outbox]\npath = "a\\u0007"', "outbox.path: has a character that cannot be printed"),
        ('model = "\\n"', "model: has a character that cannot be printed"),
        ("[health]\ninterval_s = 0", "health.interval_s: "),
        ("[health]\ninterval_s = inf", "health.interval_s: "),
        ("[health]\nprometheus_port = 65536", "health.prometheus_port: "),
        ("[homeassistant]\nprefix = '+'", "homeassistant.prefix: "),
        ("[homeassistant]\ndiscovery = 'maybe'", "homeassistant.discovery: "),
        ("[segments]\nvad_aggressiveness = 4", "segments.vad_aggressiveness: "),
        ("[segments]\nframe_ms = 25", "segments.frame_ms: "),
        ("[segments]\nonset_window_ms = 10", "segments.onset_window_ms: "),
        ("[segments]\nonset_share = 0", "segments.onset_share: "),
        ("[segments]\noffset_share = 1.1", "segments.offset_share: "),
        ("[segments]\nmin_silence_duration_ms = nan", "segments.min_silence_duration_ms: "),
        ("[segments]\nmax_speech_duration_s = inf", "segments.max_speech_duration_s: "),
        ("[segments]\nonset_share = 0.2", "segments: offset_share is larger than onset_share"),
        ("[segments]\nspeech_pad_ms = 600", "segments: speech_pad_ms is longer than"),
        (
            "[segments]\nmin_speech_duration_ms = 1500\nmax_speech_duration_s = 1.5",
            "segments: min_speech_duration_ms is not below max_speech_duration_s",
        ),
        (
            "[segments]\nonset_window_ms = 800\nmax_speech_duration_s = 1",
            "segments: speech_pad_ms and onset_window_ms fill max_speech_duration_s",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path, text, said):
    assert failure(write(tmp_path, text)).startswith(said)


def test_several_mistakes_are_counted(tmp_path):
    message = failure(write(tmp_path, "a = 1\nb = 2\nc = 3"))
    assert message == "a: unknown key (and 2 more)"


def test_a_secret_in_the_address_is_not_repeated(tmp_path):
    path = write(tmp_path, "[mqtt]\nbroker = 'mqtt://me:secret@h'")
    assert "secret" not in failure(path)


def test_durations_become_frames_rounded_up():
    segments = SegmentSettings(frame_ms=30)
    assert [segments.frames(ms) for ms in (0, 1, 30, 31, 500)] == [0, 1, 1, 2, 17]
