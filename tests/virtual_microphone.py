"""A microphone without a sound card: the monitor of a PulseAudio null sink."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

_PROGRAMS = ("pulseaudio", "pactl", "paplay")
_SINK = ("module-null-sink", "sink_name=vmic", "rate=48000")
_DEFAULT = ("set-default-source", "vmic.monitor")
_ALSA_CONF = Path("/usr/share/alsa/alsa.conf")


def missing() -> str | None:
    """What this machine lacks for a virtual microphone, or None."""
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            return f"no {program}"
    if find_library("portaudio") is None:
        return "no libportaudio"
    plugins = list(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so"))
    return None if plugins and _ALSA_CONF.exists() else "no ALSA plugin for PulseAudio"


class VirtualMicrophone:
    """A sound server that runs, and the microphone that is plugged into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "native"
        asoundrc = folder / "asoundrc"
        asoundrc.write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        self.changes = {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_COOKIE": str(folder / "cookie"),
            "ALSA_CONFIG_PATH": f"{_ALSA_CONF}:{asoundrc}",
        }
        self.env = os.environ | self.changes
        """The environment of programs that are to hear it as their default input."""
        self.env.pop("DISPLAY", None)
        self.start_server()

    def start_server(self) -> None:
        """Start it, with the microphone."""
        self._socket.unlink(missing_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no"),
                    *("--exit-idle-time=-1", "--disable-shm=yes"),
                    *("-L", f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"),
                    *("-L", " ".join(_SINK)),
                ],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while not self._answers(*_DEFAULT):
            if time.monotonic() > deadline or self._server.poll() is not None:
                said = (self._folder / "log").read_text()
                pytest.fail(f"PulseAudio does not answer:\n{said}")
            time.sleep(0.1)

    def kill_server(self) -> None:
        """SIGKILL: nobody is told."""
        self._server.kill()
        self._server.wait()

    def suspend_server(self) -> None:
        """SIGSTOP: it is there, and answers nothing any more."""
        self._server.send_signal(signal.SIGSTOP)

    def unplug(self) -> None:
        """Take the microphone away; the server stays."""
        assert self._answers("unload-module", "module-null-sink")

    def plug_in(self) -> None:
        assert self._answers("load-module", *_SINK)
        assert self._answers(*_DEFAULT)

    def speak(self, path: Path) -> None:
        """Play a sound file into it; returns when it has been heard to its end."""
        self.start_speaking(path).check()

    def start_speaking(self, path: Path) -> "Speech":
        """Begin to play a sound file of any format that soundfile reads."""
        samples, sample_rate = soundfile.read(path, dtype="int16")
        wav = self._folder / f"{path.stem}.wav"
        soundfile.write(wav, samples, sample_rate)
        return Speech(subprocess.Popen(["paplay", "--device=vmic", str(wav)], env=self.env))

    def _answers(self, *words: str) -> bool:
        answer = subprocess.run(
            ["pactl", *words], env=self.env, capture_output=True, timeout=30, check=False
        )
        return answer.returncode == 0


@dataclass(frozen=True)
class Speech:
    """A file being played."""

    player: subprocess.Popen[bytes]

    def check(self) -> None:
        """Wait until it was heard to its end."""
        try:
            code = self.player.wait(60)
        finally:
            self.player.kill()
            self.player.wait()
        assert code == 0, "paplay failed"


@contextmanager
def virtual_microphone() -> Iterator[VirtualMicrophone]:
    """A private PulseAudio whose default source is what is played into its sink `vmic`.

    It lives in a folder of its own and is in `os.environ` while it lasts, so that children
    find it. The test is skipped where the machine lacks something.
    """
    if reason := missing():
        pytest.skip(f"virtual microphone: {reason}")
    # Not pytest's tmp_path: a Unix socket's path holds 107 bytes.
    with tempfile.TemporaryDirectory(prefix="serd-") as name:
        microphone = VirtualMicrophone(Path(name))
        try:
            with pytest.MonkeyPatch.context() as patch:
                for key, value in microphone.changes.items():
                    patch.setenv(key, value)
                yield microphone
        finally:
            microphone.kill_server()
