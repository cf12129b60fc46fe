"""What systemd is told, and what it asks for: the protocol of sd_notify(3)."""

import logging
import os
import socket

_WAIT_S = 1.0  # a service manager that takes nothing must not hold us up

_log = logging.getLogger(__name__)


def tell(*lines: str) -> None:
    """Send `READY=1`, `WATCHDOG=1`, `STATUS=…` or the like; nothing where nobody asked for it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(_WAIT_S)
            sender.connect(address)
            sender.sendall("\n".join(lines).encode())
    except OSError as error:
        _log.warning("systemd cannot be told %s: %s", lines[0], error)


def watchdog_s() -> float | None:
    """After how long without `WATCHDOG=1` this process is killed, s; None where it is not."""
    asked, of_whom = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not asked.isdecimal() or of_whom not in (None, str(os.getpid())):
        return None
    return int(asked) / 1e6 or None
