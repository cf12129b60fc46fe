"""A Debian with a systemd of its own, in a container: what a service is installed into."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import ROOT

_PACKAGES = "systemd,systemd-sysv,dbus,python3-venv,libportaudio2,libasound2"
_CACHE = Path("/var/cache/serd-tests")
"""Only root writes there; a Debian and wheels stay for the next time."""
_BOOT_S = 120


class Debian:
    """A running one, on the network of this machine."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        """Its files, from outside."""
        self._enter = ["nsenter", "--target", str(leader), "--all", "--"]

    def run(self, *words: str, check: bool = True) -> str:
        """A command in it, as root; what it said, on stderr too."""
        done = subprocess.run(
            [*self._enter, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}"
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit)

    def journal(self, unit: str, *words: str) -> str:
        """What a unit has said; each line without what stands before it."""
        return self.run("journalctl", "--quiet", "--output=cat", f"--unit={unit}", *words)

    def write(self, path: str, text: str | bytes, mode: int = 0o644, group: int = 0) -> None:
        """A file in it."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)
        os.chown(file, 0, group)


@contextmanager
def debian() -> Iterator[Debian]:
    """A fresh one with serd's wheel in /opt/serd; where none can be had the test is skipped."""
    if os.geteuid() != 0:
        pytest.skip("a container needs root")
    for program in ("debootstrap", "systemd-nspawn", "nsenter"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}")
    base, wheels = _base(), _wheels()
    with tempfile.TemporaryDirectory(prefix="running-", dir=_CACHE) as name:
        root = Path(name) / "root"
        subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(root)], check=True)
        wheelhouse = root / "wheels"
        shutil.copytree(wheels, wheelhouse)
        _pip("wheel", "--no-deps", "--wheel-dir", wheelhouse, ROOT)
        with _booted(root, Path(name) / "log") as machine:
            machine.run("python3", "-m", "venv", "/opt/serd")
            pip = ("/opt/serd/bin/pip", "install", "--quiet", "--no-index")
            machine.run(*pip, "--find-links", "/wheels", "serd")
            yield machine


def _base() -> Path:
    name = hashlib.sha256(_PACKAGES.encode()).hexdigest()[:12]
    base = _CACHE / f"bookworm-{name}"
    if not base.is_dir():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=_CACHE) as folder:
            words = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}"]
            made = subprocess.run(
                [*words, "bookworm", f"{folder}/root"], capture_output=True, text=True, check=False
            )
            if made.returncode != 0:
                pytest.skip(f"no Debian can be had: {made.stdout.strip().splitlines()[-1:]}")
            Path(folder, "root").rename(base)
    return base


def _wheels() -> Path:
    """Those that serd needs, of the versions that its tests run with, for Debian's Python."""
    locked = ROOT / "constraints.txt"
    what = (ROOT / "pyproject.toml").read_bytes() + locked.read_bytes()
    wheels = _CACHE / f"wheels-{hashlib.sha256(what).hexdigest()[:12]}"
    if not wheels.is_dir():
        with tempfile.TemporaryDirectory(prefix="making-", dir=_CACHE) as folder:
            python = ("--only-binary=:all:", "--python-version=3.11")
            _pip("wheel", "--no-deps", "--wheel-dir", f"{folder}/serd", ROOT)
            (serd,) = Path(folder, "serd").iterdir()
            _pip("download", *python, "-c", locked, "--dest", f"{folder}/wheels", serd)
            Path(folder, "wheels", serd.name).unlink()
            Path(folder, "wheels").rename(wheels)
    return wheels


def _pip(*words: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def _booted(root: Path, log: Path) -> Iterator[Debian]:
    words = ["systemd-nspawn", "--quiet", f"--directory={root}", f"--machine=serd-{os.getpid()}"]
    words += ["--register=no", "--keep-unit", "--console=pipe", "--boot"]
    with log.open("wb") as out:
        nspawn = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            # As today's Debian boots it, whatever this machine has.
            env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )
    try:
        machine = _wait_for_boot(nspawn, root)
        if machine is None:
            said = " ".join(log.read_text(errors="replace").split())[-300:]
            pytest.skip(f"systemd-nspawn cannot boot a Debian here: {said}")
        yield machine
    finally:
        nspawn.send_signal(signal.SIGTERM)  # it powers the machine off
        try:
            nspawn.wait(30)
        except subprocess.TimeoutExpired:
            nspawn.kill()  # and with it all that is in the machine
            nspawn.wait()


def _wait_for_boot(nspawn: "subprocess.Popen[bytes]", root: Path) -> Debian | None:
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    deadline = time.monotonic() + _BOOT_S
    while nspawn.poll() is None and time.monotonic() < deadline:
        if leader := children.read_text().split():
            machine = Debian(root, int(leader[0]))
            state = machine.run("systemctl", "is-system-running", check=False)
            if state in ("running", "degraded"):
                return machine
        time.sleep(0.2)
    return None
