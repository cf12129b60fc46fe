"""Files that are there whole or not at all, whatever cuts the writing off."""

import os
from pathlib import Path


def write(path: Path, content: bytes | str) -> None:
    """Write a file beside its place, then put it there; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        with part.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut may leave the name without the content
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
