"""A certificate authority for tests, and whom it has signed for."""

import shutil
import subprocess
from pathlib import Path

import pytest


class Authority:
    """Makes certificates, with OpenSSL's program, in a folder of its own."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder / name
        self._folder.mkdir()
        self._program = shutil.which("openssl") or pytest.skip("no program openssl")
        self.certificate = self._make("ca", "-addext", "basicConstraints=critical,CA:TRUE")

    def sign(self, name: str, host: str = "localhost") -> Path:
        """A certificate; its key is beside it, `.key` instead of `.pem`."""
        signer = ("-CA", self.certificate, "-CAkey", self.certificate.with_suffix(".key"))
        return self._make(name, *signer, "-addext", f"subjectAltName=DNS:{host}")

    def _make(self, name: str, *words: object) -> Path:
        path = self._folder / f"{name}.pem"
        new = (
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            2,
            "-subj",
            f"/CN={name}",
        )
        files = ("-keyout", path.with_suffix(".key"), "-out", path)
        command = [self._program, "req", "-x509", *new, *files, *words]
        done = subprocess.run([str(one) for one in command], check=False, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return path
