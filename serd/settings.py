"""The configuration: one model for each TOML table. Unknown keys are refused."""

import math
import os
import re
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from serd.wording import first_line, reason


class SettingsError(Exception):
    """A configuration that cannot be used; the message says where and why, in one line."""


class Table(BaseModel):
    """Base of every table: read once, never changed, no unknown keys, no infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


NoneIfEmpty = BeforeValidator(lambda value: None if value == "" else value)
"""TOML has no null."""


def _printable(value: Any) -> Any:
    if not str(value).isprintable():  # messages that name it stay one line
        raise ValueError("has a character that cannot be printed")
    return value


OptionalPath = Annotated[Path | None, NoneIfEmpty, AfterValidator(_printable)]
Model = Annotated[str, StringConstraints(min_length=1), AfterValidator(_printable)]


def as_name(value: str) -> str:
    """What can stand in a topic and name a file, as it is; raises ValueError for all else."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        raise ValueError("not a name: at most 64 of A-Z, a-z, 0-9, - and _")
    return value


Name = Annotated[str, AfterValidator(as_name)]


class SegmentSettings(Table):
    """`[segments]`: how speech is cut into utterances.

    The defaults were tuned with benchmarks/segmentation.py on ten AMI meeting excerpts (F1),
    as far as no RAVDESS sentence, however quiet, is lost and nearly all stay whole.
    """

    vad_aggressiveness: int = Field(2, ge=0, le=3)
    """How much the voice detector asks of a frame; 3 lets the least through."""
    frame_ms: Literal[10, 20, 30] = 30
    """Length of a frame, ms."""
    onset_window_ms: float = Field(240, ge=30, le=2_000)
    """Speech begins when most of this much sound is speech, ms."""
    onset_share: float = Field(0.9, gt=0, le=1)
    """How much of the window is "most", 0…1."""
    offset_share: float = Field(0.25, ge=0, le=1)
    """Speech goes on while at least this share of the window is speech, 0…1."""
    speech_pad_ms: float = Field(200, ge=0, le=2_000)
    """Kept before the first and after the last speech of an utterance, ms."""
    min_silence_duration_ms: float = Field(500, ge=30, le=10_000)
    """An utterance ends after this much without speech, ms."""
    min_speech_duration_ms: float = Field(250, ge=10, le=10_000)
    """Utterances with less speech than this are dropped, ms."""
    max_speech_duration_s: float = Field(15, ge=1, le=120)
    """A longer utterance is split at its longest pause, s."""

    @model_validator(mode="after")
    def _consistent(self) -> "SegmentSettings":
        if self.speech_pad_ms > self.min_silence_duration_ms:
            raise ValueError("speech_pad_ms is longer than min_silence_duration_ms")
        if self.offset_share > self.onset_share:
            raise ValueError("offset_share is larger than onset_share")
        longest_ms = self.max_speech_duration_s * 1000
        if self.speech_pad_ms + self.onset_window_ms + 3 * self.frame_ms > longest_ms:
            raise ValueError("speech_pad_ms and onset_window_ms fill max_speech_duration_s")
        if self.min_speech_duration_ms >= longest_ms:
            raise ValueError("min_speech_duration_ms is not below max_speech_duration_s")
        return self

    def frames(self, duration_ms: float) -> int:
        """A duration as a number of frames, rounded up."""
        return math.ceil(duration_ms / self.frame_ms)


def _broker_url(url: str) -> str:
    if url in ("embedded", "none"):
        return url
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise ValueError("not mqtt://HOST[:PORT], mqtts://HOST[:PORT], embedded or none")
    if parts.username or parts.password:
        raise ValueError("put the user into username and the password into password_file")
    _ = parts.port  # raises ValueError when it is not a number from 0 to 65535
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("nothing can follow the host and its port")
    parts.hostname.encode("idna")  # raises one when no name server could be asked for it
    return url


class MqttSettings(Table):
    """`[mqtt]`: where events go."""

    broker: Annotated[str, AfterValidator(_broker_url)] = "mqtt://localhost:1883"
    """`mqtt://HOST[:PORT]`, `mqtts://…` (TLS), `embedded` (a broker inside serd) or `none`."""
    topic_prefix: str = Field("serd", pattern=r"^[^+#/\s\x00-\x1f\x7f][^+#\s\x00-\x1f\x7f]*$")
    """First levels of every topic."""
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    """Version of MQTT. With 5 a broker says when it may not take an event, which then waits; with
    3.1.1 what its access rules forbid is lost without a word."""
    username: Annotated[str | None, NoneIfEmpty] = None
    """With which serd logs in, if at all."""
    password_file: OptionalPath = None
    """A file whose first line is the password. The name of a systemd credential is enough, here
    and for the next three."""
    ca_file: OptionalPath = None
    """Certificates (PEM) of those whose word is taken that a broker behind `mqtts://` is the right
    one; by default the system's."""
    certificate_file: OptionalPath = None
    """serd's own certificate (PEM), for a broker that asks for one."""
    key_file: OptionalPath = None
    """Its private key (PEM, no passphrase); by default in the same file."""
    keepalive_s: int = Field(30, ge=5, le=3_600)
    """The broker declares serd offline after 1.5 times this, s."""
    embedded_port: int = Field(1883, ge=0, le=65_535)
    """Where the embedded broker listens on this machine; 0 takes a free port."""

    @model_validator(mode="after")
    def _consistent(self) -> "MqttSettings":
        if self.password_file and not self.username:
            raise ValueError("password_file without a username")
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file without a certificate_file")
        if (self.ca_file or self.certificate_file) and self.broker.startswith("mqtt:"):
            raise ValueError("ca_file and certificate_file need mqtts://, mqtt:// is not encrypted")
        return self


class DenoiseSettings(Table):
    """`[denoise]`: whether noise is taken out of an utterance before it is recognised."""

    mode: Literal["auto", "on", "off"] = "auto"
    """Of noisy utterances only, of all, or of none."""
    model: Model = "denoiser"
    """A name that `serd models` lists, or the path of a bundle."""
    below_snr_db: Annotated[Annotated[float, Field(strict=True)] | None, NoneIfEmpty] = None
    """With `auto`, utterances with less signal than this are noisy, dB; by default what was
    found best for the model."""


BASELINES = ("none", "off", "file", "running", "all")
"""Baselines that are nobody's name."""


class AdaptationSettings(Table):
    """`[adaptation]`: getting used to who speaks, where the model can do that."""

    baseline: Annotated[Name | None, NoneIfEmpty] = None
    """What a voice is held against. `running`: what was said before, kept over restarts; serd
    run's default. `none` or `off`: what voices are like on average, and nothing is kept. Or the
    NAME of somebody enrolled. Only for serd classify, which has all that is said before it:
    `file`, its default, each file by itself; `all`, all files as one speaker."""


class OutboxSettings(Table):
    """`[outbox]`: events that wait for the broker."""

    path: OptionalPath = None
    """The database; by default `outbox.db` in the state directory."""
    max_events: int = Field(100_000, ge=1)
    """Beyond that the oldest are dropped and counted."""
    max_age_h: float = Field(168, gt=0)
    """Older events are dropped and counted, hours."""


class StateSettings(Table):
    """`[state]`: the smoothed present state of a source."""

    half_life_s: float = Field(10, gt=0)
    """An utterance counts half after this much time, s."""
    idle_after_s: float = Field(30, gt=0, le=31_536_000)
    """Without an utterance for this long the state is `idle`, s."""


class HealthSettings(Table):
    """`[health]`: what serd tells about itself."""

    interval_s: float = Field(60, ge=1)
    """From one health message to the next, s."""
    prometheus_port: int = Field(0, ge=0, le=65_535)
    """Where Prometheus finds the same, on this machine only: `http://127.0.0.1:PORT/metrics`; 0:
    nowhere. Needs the extra `prometheus`."""


class HomeAssistantSettings(Table):
    """`[homeassistant]`: device discovery over MQTT."""

    discovery: bool = True
    """Whether Home Assistant is told what serd publishes."""
    prefix: str = Field("homeassistant", pattern=r"^[^+#\s\x00-\x1f\x7f]+$")
    """First levels of the discovery topics."""


def _source_spec(spec: str) -> str:
    if not spec.strip():
        raise ValueError("is empty")
    if spec in ("file:", "exec:"):
        raise ValueError(f"nothing follows {spec!r}")
    return spec


SourceSpec = Annotated[str, AfterValidator(_source_spec)]


def _node_name() -> str:
    """The host's name, as far as it can stand in a topic."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] or "serd"


class Settings(Table):
    """The whole configuration; without a file everything has a default."""

    node: Name = Field(default_factory=_node_name)
    """This machine's name in topics and events; by default its host name."""
    model: Model = "cnn"
    """A name that `serd models` lists, or the path of a bundle."""
    state_dir: OptionalPath = None
    """Where serd keeps what must survive a restart; by default systemd's
    `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/serd` or `~/.local/state/serd`."""
    sources: dict[Name, SourceSpec] = Field({"mic": "default"}, min_length=1)
    """What to listen to: NAME = `default`, a device as `serd devices` names it
    (`hw:CARD=Device,DEV=0`), `file:PATH[?speed=max]` or `exec:COMMAND` that writes s16le mono PCM
    at 16 kHz."""
    segments: SegmentSettings = SegmentSettings()
    denoise: DenoiseSettings = DenoiseSettings()
    adaptation: AdaptationSettings = AdaptationSettings()
    mqtt: MqttSettings = MqttSettings()
    outbox: OutboxSettings = OutboxSettings()
    state: StateSettings = StateSettings()
    health: HealthSettings = HealthSettings()
    homeassistant: HomeAssistantSettings = HomeAssistantSettings()


def load(path: Path | None = None, **overrides: object) -> Settings:
    """Read a configuration file.

    Args:
        path: a TOML file; None takes the defaults.
        overrides: top-level keys that take precedence over the file's; a table is merged
            key by key. Those that are None are passed over.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or has a wrong key or value.
    """
    try:
        table = {} if path is None else tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {reason(error)}") from error
    except (ValueError, RecursionError) as error:  # also what is too deep, or a number too long
        raise SettingsError(f"{path}: not TOML: {error}") from error
    for key, value in overrides.items():
        if isinstance(value, dict) and isinstance(table.get(key), dict) and key != "sources":
            table[key] = table[key] | value
        elif value is not None:
            table[key] = value
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        where = f"{path}: " if path else ""
        raise SettingsError(where + first_line(error)) from error


def state_dir(settings: Settings) -> Path:
    """Where to keep what must survive a restart."""
    if settings.state_dir is not None:
        return settings.state_dir
    if own := os.environ.get("STATE_DIRECTORY"):
        return Path(own)
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "serd"
