"""A microphone without a sound card: the monitor of a PulseAudio null sink."""

import os
import shutil
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


@dataclass(frozen=True)
class VirtualMicrophone:
    """A running one."""

    env: dict[str, str]
    """The environment of programs that are to hear it as their default input."""
    folder: Path

    def speak(self, path: Path) -> None:
        """Play a sound file into it; returns when it has been heard to its end."""
        self.start_speaking(path).check()

    def start_speaking(self, path: Path) -> "Speech":
        """Begin to play a sound file of any format that soundfile reads."""
        samples, sample_rate = soundfile.read(path, dtype="int16")
        wav = self.folder / f"{path.stem}.wav"
        soundfile.write(wav, samples, sample_rate)
        return Speech(subprocess.Popen(["paplay", "--device=vmic", str(wav)], env=self.env))


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
        folder = Path(name)
        asoundrc = folder / "asoundrc"
        asoundrc.write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        socket = folder / "native"
        ours = {
            "HOME": name,
            "XDG_RUNTIME_DIR": name,
            "XDG_CONFIG_HOME": name,
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
            "PULSE_SERVER": f"unix:{socket}",
            "PULSE_COOKIE": str(folder / "cookie"),
            "ALSA_CONFIG_PATH": f"{_ALSA_CONF}:{asoundrc}",
        }
        env = os.environ | ours
        env.pop("DISPLAY", None)
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [
                    *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no"),
                    *("--exit-idle-time=-1", "--disable-shm=yes"),
                    *("-L", f"module-native-protocol-unix socket={socket} auth-anonymous=1"),
                    *("-L", "module-null-sink sink_name=vmic rate=48000"),
                ],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            _wait_for(server, ["pactl", "set-default-source", "vmic.monitor"], env, folder / "log")
            with pytest.MonkeyPatch.context() as patch:
                for key, value in ours.items():
                    patch.setenv(key, value)
                yield VirtualMicrophone(env, folder)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(
    server: subprocess.Popen[bytes], command: list[str], env: dict[str, str], log: Path
) -> None:
    """Try a command until PulseAudio answers it."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        answer = subprocess.run(command, env=env, capture_output=True, timeout=30, check=False)
        if answer.returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail(f"PulseAudio does not answer:\n{log.read_text()}")
