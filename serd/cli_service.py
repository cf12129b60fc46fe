"""The command line: `serd install-service`."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Annotated

import typer

import serd

UNITS = ("serd.service", "serd@.service")
_PROGRAM = "/opt/serd/bin/serd"
"""In the units as they come."""
_CLOSED = ("/home/", "/root/", "/tmp/", "/var/tmp/", "/run/user/")  # noqa: S108 # to the service


def install_service(
    root: Annotated[
        Path, typer.Option(help="Write below this folder, for the maker of an image.")
    ] = Path("/"),
) -> None:
    """Put systemd's units in place, and a configuration unless there is one; needs root."""
    from serd.template import template

    program = _program()
    for name in UNITS:
        unit = (_folder() / name).read_text("utf-8").replace(_PROGRAM, str(program))
        _write(root / "etc/systemd/system" / name, unit)
    configuration = root / "etc/serd/serd.toml"
    if configuration.exists():
        print(f"{configuration}: stays as it is")
    else:
        _write(configuration, template())
    if Path("/run/systemd/system").is_dir() and root == Path("/"):
        subprocess.run(["systemctl", "daemon-reload"], check=True)
    print(f"Next: say in {configuration} what to listen to, and systemctl enable --now serd")


def _program() -> Path:
    """The program of this environment, where the service can find it.

    Raises:
        SettingsError: it cannot.
    """
    from serd.settings import SettingsError

    program = Path(sysconfig.get_path("scripts")) / "serd"
    # An environment is links to a Python elsewhere, and maybe to a checkout.
    needed = (program, Path(sys.executable), Path(sys.base_prefix), Path(serd.__file__))
    for path in (*needed, *(one.resolve() for one in needed)):
        if str(path).startswith(_CLOSED):
            wanted = "install serd into /opt/serd, with the system's Python"
            raise SettingsError(f"{path}: closed to the service; {wanted}")
    if not re.fullmatch(r"[\w./+-]+", str(program)):
        raise SettingsError(f"{program}: no path for a unit; install serd into /opt/serd")
    return program


def _folder() -> Path:
    """Where the units are: in the package, or beside it in a checkout."""
    package = Path(__file__).parent
    folders = [package / "systemd", package.parent / "systemd"]
    return next(folder for folder in folders if folder.is_dir())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o644)
    print(f"{path}: written")
