"""A child process that is `serd` again and again: arguments in, outcomes out, a line of JSON each.

To start Python for each of thousands of runs would take an hour.
"""

import contextlib
import io
import json
import logging
import os
import sys
from unittest import mock

from serd.cli import main


def outcome(arguments):
    """Exit code, stdout and stderr of one run."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2))
    logging.getLogger().handlers.clear()  # they write where the run before this one did
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["serd", *arguments]),
    ):
        try:
            main()
        except SystemExit as ending:
            code = ending.code
    for stream in (out, err):
        stream.flush()
    return [code or 0, *(stream.buffer.getvalue().decode() for stream in (out, err))]


if __name__ == "__main__":
    reply = os.dup(1)  # a run may close or redirect its own
    for line in sys.stdin:
        os.write(reply, json.dumps(outcome(json.loads(line))).encode() + b"\n")
