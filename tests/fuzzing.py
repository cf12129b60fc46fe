"""Damage to files that can be done again, and runs of `serd` that may die of it."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Self

SEED = 20_260_101
"""Of all damage; a case is made anew from it and the case's number."""

_HUNG_S = 90
"""For one run; only a failing test waits so long."""
_MEMORY_BYTES = 6 << 30  # addresses, most of which are never used
_WORDS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def random(case: int) -> Random:
    """Where the randomness of a case comes from."""
    return Random(f"{SEED} {case}")  # noqa: S311 - no secrets


def damaged(content: bytes, chance: Random, header: int = 128) -> bytes:
    """A file's content, changed in a few places, half of them in its first bytes."""
    content = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        reach = chance.choice((min(header, len(content)), len(content)))
        at = chance.randrange(max(1, reach))
        length = chance.choice((1, 2, 4, 16, 64, 1_024))
        match chance.randrange(8):
            case 0 if content:
                content[min(at, len(content) - 1)] ^= 1 << chance.randrange(8)
            case 1:
                content[at : at + length] = chance.randbytes(length)
            case 2:
                del content[at : at + length]
            case 3:
                del content[at:]
            case 4:
                content[at:at] = content[at : at + length]
            case 5:
                content[at:at] = chance.randbytes(length)
            case _:
                size = chance.choice((1, 2, 4, 4, 8))
                word = chance.choice(_WORDS) & (1 << 8 * size) - 1
                order = chance.choice(("little", "big"))
                content[at : at + size] = word.to_bytes(size, order)
    return bytes(content)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    code: int | None
    """Its exit code; below 0 the signal that it died of; None when it hung."""
    out: str = ""
    err: str = ""

    def why_bad(self, codes: Iterable[int], chatty: bool = False) -> str | None:
        """What no run may do; None when all is well.

        Args:
            codes: exit codes that it may have.
            chatty: it may say more than one line, and warn when all is well.
        """
        if self.code is None:
            return f"no end within {_HUNG_S} s"
        if self.code not in codes:
            return f"exit code {self.code}: {self.err}"
        lines = self.err.splitlines()
        if not chatty and (len(self.out.splitlines()), len(lines)) != (
            (0, 1) if self.code else (1, 0)
        ):
            return f"exit code {self.code}, and not one line: {self.out!r} {self.err!r}"
        plain = [line for line in lines if line.startswith("serd: ") and line.isprintable()]
        if plain != lines or "serd: unexpected " in self.err:
            return self.err
        return None


class Runs:
    """Runs `serd` many times in one process, and in a new one after it died or hung."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said = (folder / "child.err").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._said.close()

    def run(self, arguments: Sequence[str | Path]) -> Outcome:
        """One run, as if it were a process of its own."""
        process = self._process = self._process or self._start()
        with suppress(BrokenPipeError):  # what it died of is told below
            process.stdin.write(json.dumps([str(word) for word in arguments]).encode() + b"\n")
        if not select.select([process.stdout], [], [], _HUNG_S)[0]:
            self._end()
            return Outcome(None)
        if line := process.stdout.readline():
            return Outcome(*json.loads(line))
        code = process.wait()
        self._end()
        return Outcome(code or -1, "", "the process has ended")

    def _start(self) -> subprocess.Popen[bytes]:
        program = [sys.executable, str(Path(__file__).with_name("serd_many_times.py"))]
        limit = f'ulimit -v {_MEMORY_BYTES >> 10}; exec "$@"'  # else a wrong size eats the machine
        return subprocess.Popen(
            ["sh", "-c", limit, "sh", *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            cwd=self._folder,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                pipe.close()
            self._process = None
