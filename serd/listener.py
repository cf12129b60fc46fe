"""Listens to one source in a thread of its own, and opens it again when it is lost."""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from serd.capture import EndedError, Source, SourceError, lasting, open_source
from serd.health import SourceHealth
from serd.pipeline import Stream, Utterance
from serd.pulse import Pulse
from serd.settings import SegmentSettings

_RETRY_S = (1.0, 30.0)
"""From one opening of a live source that gives nothing to the next: at first, and at most."""

_STEADY_S = 60.0
_OFTEN = 3
"""A source that comes again sooner than that so many times, one after the other, comes and goes."""
_RARELY_S = 3_600.0
"""From one line about the failures of such a source to the next."""

_log = logging.getLogger(__name__)


class Listener:
    """From a source's name to a stream of utterances."""

    def __init__(
        self,
        name: str,
        spec: str,
        settings: SegmentSettings,
        health: SourceHealth,
        *,
        again: bool,
        offer: Callable[[Utterance, bool], bool],
        on_status: Callable[[str, bool], None],
    ) -> None:
        """Prepare; `start` begins.

        Args:
            name: of the source.
            spec: what to open.
            settings: how to cut.
            health: where to keep accounts.
            again: open a live source again when it is lost.
            offer: takes an utterance and whether its source is live (and must not be
                kept waiting); tells whether there was room for it.
            on_status: told when the source comes and goes.
        """
        self.name = name
        self.listening = True
        """Whether what it hears may be used."""
        self.failure: str | None = None
        """Why it ended, unless it was the end of its file, or of a program that is to end."""
        self.pulse = Pulse()
        """It beats with each block and each try, and rests between tries."""
        self._spec = spec
        self._settings = settings
        self._health = health
        self._again = again
        self._offer = offer
        self._on_status = on_status
        self._stopped = threading.Event()
        self._source: Source | None = None
        self._heard_at: float | None = None
        self._told: str | None = None  # the failure, since it was online
        self._came = self._hushed_at = float("-inf")
        self._came_soon = 0  # so many times, one after the other
        self._thread = threading.Thread(target=self._run, name=f"listener-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def done(self) -> bool:
        """It has ended for good."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End it, from any thread; `join` waits for that."""
        self._stopped.set()
        if self._source is not None:
            self._source.close()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    def _run(self) -> None:
        pause_s, look_out_s, begun = _RETRY_S[0], 0.0, time.monotonic()
        while not self._stopped.is_set():
            heard, opened = self._health.samples, time.monotonic()
            self.pulse.beat()
            self._listen_once(look_out_s)
            self.pulse.rest()
            if self._stopped.is_set():  # it is not to give anything any more
                return
            if not self._again or (self._source is not None and not self._source.live):
                return
            self._health.away(begun if self._heard_at is None else self._heard_at)
            pause_s = _RETRY_S[0] if self._health.samples > heard else pause_s
            # A microphone spends its pause looking out for its device.
            self._stopped.wait(max(0.0, opened + pause_s - time.monotonic()))
            look_out_s = pause_s = min(2 * pause_s, _RETRY_S[1])

    def _listen_once(self, look_out_s: float) -> None:
        failure = None
        try:
            self._name_for_good()
            self._source = open_source(self._spec, look_out_s)
            if self._stopped.is_set():
                return
            self._hear(self._source)
        except SourceError as error:
            if self._again or not isinstance(error, EndedError):
                failure = str(error)
        except Exception as error:  # noqa: BLE001 - it must not end the source unnoticed
            failure = f"unexpected {type(error).__name__}: {error}"
            _log.debug("source %s", self.name, exc_info=True)
        finally:
            self._set_online(False)
        if failure is not None and failure != self._told and not self._hushed():
            _log.error("source %s: %s", self.name, failure)  # once, not for each try
            self._told = failure
        self.failure = failure

    def _name_for_good(self) -> None:
        if (found := lasting(self._spec)) != self._spec:
            _log.info("source %s: %s is %s", self.name, self._spec, found)
            self._spec = found

    def _hear(self, source: Source) -> None:
        stream = Stream(self.name, self._settings, source.live)
        try:
            for block in source.blocks():
                self.pulse.beat()
                self._set_online(True)
                self._heard_at = time.monotonic()
                self._health.samples += block.samples.size
                self._health.samples_lost += block.lost
                self._health.gaps += block.lost > 0
                if self.listening:
                    self._pass_on(stream, stream.feed(block), source.live)
                else:
                    self._health.samples_muted += block.samples.size
                    self._pass_on(stream, stream.skip(block), source.live)
        finally:
            self._pass_on(stream, stream.flush(), source.live)

    def _pass_on(self, stream: Stream, utterances: Iterable[Utterance], live: bool) -> None:
        in_segments, discarded = stream.samples_in_segments, stream.samples_discarded
        for utterance in utterances:
            self._health.utterances += 1
            if not self._offer(utterance, live):
                self._health.dropped += 1
        self._health.samples_in_segments += stream.samples_in_segments - in_segments
        self._health.samples_discarded += stream.samples_discarded - discarded

    def _set_online(self, online: bool) -> None:
        if online != self._health.online:
            self._health.online = online
            self._health.opened += online
            if online:
                self.failure = self._told = None
                self._come()
                self._health.back()
                self._health.gaps += self._heard_at is not None
            elif time.monotonic() - self._came >= _STEADY_S:
                self._came_soon = 0
            level = logging.DEBUG if self._came_soon >= _OFTEN else logging.INFO
            _log.log(level, "source %s: %s", self.name, "online" if online else "offline")
            self._on_status(self.name, online)

    def _come(self) -> None:
        now = time.monotonic()
        self._came_soon = self._came_soon + 1 if now - self._came < _STEADY_S else 0
        self._came = now
        if self._came_soon == _OFTEN:
            self._hushed_at = now
            _log.warning("source %s: comes and goes; that is told once an hour", self.name)

    def _hushed(self) -> bool:
        """Whether a failure is no news, for the source comes and goes."""
        now = time.monotonic()
        if self._came_soon < _OFTEN or now - self._came >= _STEADY_S:
            return False
        if now - self._hushed_at < _RARELY_S:
            return True
        self._hushed_at = now
        return False
