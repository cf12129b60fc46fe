"""Files of results, there whole or not at all."""

import json
from pathlib import Path
from typing import Any

from serd.whole import write

__all__ = ["write", "write_json"]


def write_json(path: Path, content: Any) -> None:
    """Write an object as JSON for people's eyes too."""
    write(path, json.dumps(content, indent=2) + "\n")
