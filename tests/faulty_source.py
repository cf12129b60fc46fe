"""A program that talks as fast as it is listened to, and fails in every way that sources fail.

`python faulty_source.py FOLDER MINUTES`: FOLDER/minute.pcm is said again and again, each time it
is started a little more, until so many minutes are said in all; FOLDER/lives has a line for each
life: how many bytes were written, and how it was to end. Then there is the file FOLDER/done.
"""

import os
import signal
import sys
import time
from pathlib import Path

MINUTES_A_LIFE = 3


def write(data: bytes) -> int:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]
    return len(data)


def said_in_all(lives: Path) -> int:
    """Bytes, in all lives before this one."""
    return sum(int(line.split()[0]) for line in lives.read_text().splitlines())


def live(folder: Path, minutes: int) -> None:
    minute = (folder / "minute.pcm").read_bytes()
    lives = folder / "lives"
    lives.touch()
    fault = FAULTS[len(lives.read_text().splitlines()) % len(FAULTS)]
    left = minutes - said_in_all(lives) // len(minute)
    said = sum(write(minute) for _ in range(min(left, MINUTES_A_LIFE)))
    if left <= 0:
        (folder / "done").touch()
        time.sleep(1000)
    said += {odd: 1 + len(minute), noise: 320_001}.get(fault, 0)
    with lives.open("a") as file:
        file.write(f"{said} {fault.__name__}\n")
    fault(minute)


def ends(_minute: bytes) -> None:
    sys.exit(0)


def fails(_minute: bytes) -> None:
    sys.exit("out of order")


def hangs(_minute: bytes) -> None:
    time.sleep(1000)


def is_killed(_minute: bytes) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def odd(minute: bytes) -> None:
    write(b"x")  # from here on every sample is made of two halves
    write(minute)


def noise(_minute: bytes) -> None:
    write(os.urandom(320_001))


def floods(_minute: bytes) -> None:
    os.write(2, b"serd-gap nonsense\n" * 1_000)
    for _ in range(20):
        os.write(2, os.urandom(50_000))


def closes(_minute: bytes) -> None:
    os.close(1)
    time.sleep(1000)


FAULTS = (ends, fails, hangs, is_killed, odd, noise, floods, closes)

if __name__ == "__main__":
    live(Path(sys.argv[1]), int(sys.argv[2]))
