"""Lines on stderr: for people as they are, for the journal with levels."""

import os
import subprocess
import sys

import pytest

SAY = """
import logging
from serd import log
log.begin(logging.DEBUG)
for level in (10, 20, 30, 40, 50):
    logging.log(level, "level %d", level)
logging.info("two\\nlines")
"""


def said(stderr, journal):
    """On a stderr of which systemd has, or has not, said that it is the journal's."""
    read, write = os.pipe()
    status = os.fstat(write)
    env = os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    if not journal:
        env.pop("JOURNAL_STREAM")
    where = write if stderr == "its own" else subprocess.PIPE
    done = subprocess.run([sys.executable, "-c", SAY], stderr=where, env=env, check=True)
    os.close(write)
    with os.fdopen(read) as pipe:
        return (pipe.read() if stderr == "its own" else done.stderr.decode()).splitlines()


def test_the_journal_is_told_levels():
    levels = ["<7>level 10", "<6>level 20", "<4>level 30", "<3>level 40", "<3>level 50"]
    assert said("its own", journal=True) == [*levels, "<6>two", "<6>lines"]


@pytest.mark.parametrize(("stderr", "journal"), [("its own", False), ("another", True)])
def test_people_are_told_who_speaks(stderr, journal):
    levels = [f"serd: level {level}" for level in (10, 20, 30, 40, 50)]
    assert said(stderr, journal) == [*levels, "serd: two", "lines"]


def test_what_ends_the_program_has_a_level_too(command):
    read, write = os.pipe()
    status = os.fstat(write)
    env = os.environ | {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    words = [*command, "run", "--config", "/nowhere.toml"]
    done = subprocess.run(words, stderr=write, env=env, check=False)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "<3>/nowhere.toml: no such file or directory\n"
    assert done.returncode == 2
