"""What a result was made by: program, machine, data."""

import hashlib
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from training.corpora.clip import Clip

_PLACES = ("--data", "--run", "--models", "--output")
_LIBRARIES = ("keras", "tensorflow", "jax", "torch", "scikit-learn", "numpy")


def command(words: Sequence[str]) -> str:
    """What was typed, without where things are on this machine: it goes into cards.

    >>> command(["train", "cnn", "--data", "/home/me/corpora", "--run=/tmp/cnn"])
    'serd-train train cnn'
    """
    kept = []
    left = iter(words)
    for word in left:
        option, _, value = word.partition("=")
        if option not in _PLACES:
            kept.append(word)
        elif not value:
            next(left, None)
    return shlex.join(["serd-train", *kept])


def facts(clips: Sequence[Clip], digests: Sequence[str]) -> dict[str, Any]:
    """What was heard, with a hash of each corpus, for `run.json`."""
    return {
        "corpora": sorted({clip.corpus for clip in clips}),
        "clips": len(clips),
        "data": _hashes(clips, digests),
    }


def made() -> dict[str, Any]:
    """What is at work now: commit, machine, libraries."""
    return {"commit": commit(), "machine": machine(), "libraries": _libraries()}


def joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was at work, of parts that `made` was noted of; nothing of none."""
    if not parts:
        return {}
    commits = dict.fromkeys(c for part in parts for c in part["commit"].split(", "))
    machines = dict.fromkeys(part["machine"] for part in parts)
    return {
        "commit": ", ".join(commits),
        "machine": "; ".join(machines),
        "libraries": parts[-1]["libraries"],
    }


def commit() -> str:
    """The commit that this was made from, marked when files differ from it."""
    program = Path(__file__).parent
    if not (program.parent / ".git").exists():
        return "unknown"  # installed, perhaps below somebody else's checkout
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=program,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def machine() -> str:
    """Processor and Python."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cpu = f"{len(names)} × {names[0]}" if names else platform.machine()
    return f"{cpu}, Python {platform.python_version()}"


def _hashes(clips: Sequence[Clip], digests: Sequence[str]) -> dict[str, str]:
    """The same for the same recordings with the same labels, whatever their file names."""
    hashes: dict[str, str] = {}
    for corpus in sorted({clip.corpus for clip in clips}):
        lines = sorted(
            f"{own} {clip.emotion} {clip.speaker}"
            for clip, own in zip(clips, digests, strict=True)
            if clip.corpus == corpus
        )
        hashes[corpus] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return hashes


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
