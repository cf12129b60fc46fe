"""Runs a daemon for as long as it is wanted, and another in its place when it is reloaded."""

import gc
import logging
import signal
from collections.abc import Callable

from serd import notify
from serd.check import check, check_ports
from serd.daemon import Daemon
from serd.events import EmotionEvent
from serd.log import one_line
from serd.settings import Settings

_log = logging.getLogger(__name__)


class Service:
    """Obeys signals, and tells systemd what becomes of it.

    SIGTERM and SIGINT end it. SIGHUP reads the configuration again, and all files that it
    names: the sources are closed, what they have said so far is recognised, and a daemon of
    the new configuration begins. One that is no good changes nothing.
    """

    def __init__(
        self,
        read: Callable[[], Settings],
        *,
        once: bool,
        reloads: bool,
        on_event: Callable[[EmotionEvent, bool], None],
    ) -> None:
        """Read the configuration and build the daemon.

        Args:
            read: gives the configuration as it is now; raises SettingsError.
            once: as of the daemon.
            reloads: SIGHUP reloads; otherwise it ends all, as when a terminal is closed.
            on_event: as of the daemon.

        Raises:
            SettingsError, BundleError, VoicesError, BrokerError, OutboxTakenError: of the daemon.
        """
        self._read = read
        self._once = once
        self._reloads = reloads
        self._on_event = on_event
        self._asked = False  # to reload
        self._next: Settings | None = None
        self._ended = False
        self.interrupted = False
        """It was Ctrl+C that ended it."""
        self._ready = False
        self._status = ""
        self._refused = ""  # why the last reload was none
        self._settings = read()
        self._daemon = self._build(self._settings)

    def run(self) -> bool:
        """Work until a signal, or with `once` until all is done; tell whether that went well.

        Raises:
            BrokenPipeError: nobody reads what `on_event` prints.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, self._obey)
        while True:
            well = self._daemon.run()
            if self._next is None or self._ended:
                return well
            self._replace(self._next)

    def _build(self, settings: Settings) -> Daemon:
        return Daemon(settings, once=self._once, on_event=self._on_event, on_tick=self._look)

    def _obey(self, number: int, _frame: object) -> None:
        if number == signal.SIGHUP and self._reloads:
            self._asked = True
        else:
            self._ended = True
            self.interrupted = number == signal.SIGINT
            self._daemon.stop()

    def _look(self) -> None:
        if not self._ready:
            self._ready = True
            notify.tell("READY=1")
        if (status := self._daemon.summary + self._refused) != self._status:
            self._status = status
            notify.tell(f"STATUS={status}")
        if self._asked:
            self._asked = False
            self._reload()

    def _reload(self) -> None:
        notify.tell("RELOADING=1")
        try:
            settings = self._read()
            check(settings)
            check_ports(settings, self._settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, the old one works
            self._refuse(error)
            notify.tell("READY=1")
        else:
            self._next = settings
            self._ready = False
            self._daemon.stop(patiently=True)

    def _replace(self, settings: Settings) -> None:
        self._next = None
        try:
            daemon = self._build(settings)
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(error)
            daemon = self._build(self._settings)
        else:
            self._settings, self._refused = settings, ""
            _log.info("reloaded")
        self._daemon = daemon
        gc.collect()  # the one before holds files, sockets and megabytes
        if self._ended:  # by a signal that met the one before
            daemon.stop()

    def _refuse(self, error: Exception) -> None:
        why = one_line(error)
        _log.error("not reloaded, the old configuration stays: %s", why)
        self._refused = f"; not reloaded: {why}"
        _log.debug("where", exc_info=True)
