"""What serd says on stderr: to people, or to systemd's journal with levels."""

import logging
import os
import sys

_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))  # as in syslog


def begin(level: int) -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logging.basicConfig(level=level, handlers=[handler])


def line(text: str, level: int = logging.ERROR) -> str:
    """Lines for stderr: the journal knows who speaks, but not how important it is."""
    if not _to_journal():
        return f"serd: {text}"
    priority = next((number for least, number in _PRIORITIES if level >= least), 7)
    return "\n".join(f"<{priority}>{one}" for one in text.split("\n"))


def one_line(error: Exception) -> str:
    """Our own errors, and the system's, say it themselves; others are not expected."""
    said = " ".join(str(error).split())
    if type(error).__module__.startswith("serd."):
        return said
    if isinstance(error, OSError) and error.strerror:
        from serd.wording import reason

        return f"{error.filename}: {reason(error)}" if error.filename else reason(error)
    return f"unexpected {type(error).__name__}: {said} (with --debug: where)"


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return line(super().format(record), record.levelno)


def _to_journal() -> bool:
    """Whether stderr is what systemd connected to the journal, and not put elsewhere since."""
    try:
        stderr = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"
