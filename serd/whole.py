"""Files that are there whole or not at all, whatever cuts the writing off."""

import os
from pathlib import Path


def write(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Write a file beside its place, then put it there; its folder is made.

    Args:
        path: of the file.
        content: all of it.
        private: nobody else may read it, nor look into a folder that is made for it.

    Raises:
        OSError: it cannot be written.
    """
    if private:
        private_folder(path.parent)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.touch(0o600 if private else 0o666)
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        with part.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut may leave the name without the content
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def private_folder(path: Path) -> None:
    """Make a folder, and those above it, that only we can look into; one that is there stays.

    Raises:
        OSError: it cannot be made.
    """
    try:
        path.mkdir(0o700, exist_ok=True)
    except FileNotFoundError:
        if path.parent == path:
            raise
        private_folder(path.parent)
        path.mkdir(0o700, exist_ok=True)
