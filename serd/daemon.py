"""Builds everything that `serd run` needs, wires it, and takes it down again."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime

from serd import __version__, bundle, cleaning, homeassistant
from serd.broker import EmbeddedBroker
from serd.classifier import Classifier
from serd.companies import Companies
from serd.events import EmotionEvent, compact
from serd.health import Health, SourceHealth
from serd.listener import Listener
from serd.metrics import Metrics
from serd.mqtt import Publisher
from serd.outbox import Outbox, OutboxError, OutboxTakenError
from serd.pipeline import Recogniser, Utterance
from serd.settings import Settings, reason, state_dir
from serd.state import SmoothedState
from serd.switches import Switches

_QUEUED = 64
"""Utterances that may wait for the classifier."""
_TICK_S = 0.25
_CLOSE_S = 2.5
"""For all sources to close, and for the last utterances to be recognised."""
_GOODBYE_S = 2.0
"""For the broker to take the last words."""
_LAST_TRIES_S = 10.0
"""With `once`: how long the broker may take nothing before the rest stays in the outbox."""

_log = logging.getLogger(__name__)


class Daemon:
    """One process: some sources, one classifier, one broker."""

    def __init__(
        self,
        settings: Settings,
        *,
        once: bool = False,
        on_event: Callable[[EmotionEvent, bool], None] = lambda _event, _connected: None,
    ) -> None:
        """Load the model and open what is needed to publish.

        Args:
            settings: the configuration.
            once: end when all files have ended, or without files all sources; none is
                opened again.
            on_event: called with each event, and whether a broker is connected.

        Raises:
            BundleError, SettingsError, VoicesError, BrokerError, MetricsError,
                OutboxTakenError: with one line each.
        """
        self._settings = settings
        self._once = once
        self._on_event = on_event
        loaded = bundle.load(bundle.find(settings.model))
        self._card = loaded.card
        self._companies = Companies(settings, self._card)
        self._recogniser = Recogniser(
            settings.node,
            Classifier(loaded),
            cleaning.load(settings.denoise),
            self._companies.speakers,
        )
        self._health = Health(
            {name: SourceHealth() for name in settings.sources}, settings.health.interval_s
        )
        now = datetime.now(UTC)
        self._states = {name: SmoothedState(settings.state, now) for name in settings.sources}
        self._queue: queue.Queue[Utterance | None] = queue.Queue(_QUEUED)
        # No Event: a signal handler that sets one may wait for the lock of whom it interrupts.
        self._stopped = False
        self._left = 0  # events that still wait at the end of `once`
        self._stdout_gone: BrokenPipeError | None = None
        self._resources = ExitStack()
        self._outbox: Outbox | None = None
        self._publisher: Publisher | None = None
        self._listeners = {
            name: Listener(
                name,
                spec,
                settings.segments,
                self._health.sources[name],
                again=not once,
                offer=self._offer,
                on_status=self._source_status,
            )
            for name, spec in settings.sources.items()
        }
        self._switches = Switches(state_dir(settings) / "switched-off")
        for name, listener in self._listeners.items():
            listener.listening = self._switches.on(name)
        files = [name for name, spec in settings.sources.items() if spec.startswith("file:")]
        self._awaited = [self._listeners[name] for name in files or settings.sources]
        if settings.mqtt.broker != "none":
            self._connect(settings)
        if port := settings.health.prometheus_port:
            self._resources.callback(Metrics(port, self._report).close)

    def run(self) -> bool:
        """Work until `stop`, or with `once` until all is done; tell whether that went well.

        Raises:
            BrokenPipeError: nobody reads what `on_event` prints.
        """
        worker = threading.Thread(target=self._recognise_all, name="recogniser", daemon=True)
        worker.start()
        if self._publisher is not None:
            self._publisher.start()
        for listener in self._listeners.values():
            listener.start()
        try:
            self._watch()
        finally:
            self._take_down(worker)
        if self._stdout_gone is not None:
            raise self._stdout_gone
        lost = self._publisher is not None and self._publisher.lost
        failed = self._left or lost or any(one.failure for one in self._listeners.values())
        return not (self._once and failed)

    def stop(self) -> None:
        """Make `run` return soon; also from a signal handler."""
        self._stopped = True

    def _connect(self, settings: Settings) -> None:
        mqtt = settings.mqtt
        if mqtt.broker == "embedded":
            broker = EmbeddedBroker(mqtt.embedded_port)
            self._resources.callback(broker.close)
            mqtt = mqtt.model_copy(update={"embedded_port": broker.port})
        self._outbox = _open_outbox(settings)
        self._resources.callback(self._outbox.close)
        labels = self._card.labels
        found = [
            homeassistant.discovery(
                settings.homeassistant.prefix,
                mqtt.topic_prefix,
                settings.node,
                name,
                labels,
                __version__,
            )
            for name in settings.sources
        ]
        self._publisher = Publisher(
            mqtt,
            settings.node,
            self._outbox,
            {
                "version": __version__,
                "model": {"name": self._card.id, "sha256": self._card.sha256},
                "labels": labels,
                "sources": list(settings.sources),
            },
            {name: listener.listening for name, listener in self._listeners.items()},
            on_listening=self._set_listening,
            discovery=dict(found) if settings.homeassistant.discovery else {},
        )
        for name, state in self._states.items():
            self._publisher.set_state(name, state.at(datetime.now(UTC)).to_json())

    def _watch(self) -> None:
        """Keep the time-driven things going."""
        next_health = time.monotonic()
        while not self._stopped:
            time.sleep(_TICK_S)
            if self._publisher is not None:
                for name, state in self._states.items():
                    self._publisher.set_state(name, state.at(datetime.now(UTC)).to_json())
                # What falls due while there is no broker is said as soon as there is one.
                if self._publisher.connected and time.monotonic() >= next_health:
                    next_health = time.monotonic() + self._settings.health.interval_s
                    self._publisher.publish_health(compact(self._report()))
            self._companies.save()
            ended = self._once and all(listener.done for listener in self._awaited)
            if ended and self._queue.unfinished_tasks == 0:
                self._wait_until_published()
                return

    def _wait_until_published(self) -> None:
        if self._publisher is None or self._outbox is None:
            return
        waiting, deadline = len(self._outbox), time.monotonic() + _LAST_TRIES_S
        while not self._publisher.drained(_TICK_S) and not self._stopped:
            if len(self._outbox) < waiting:
                waiting, deadline = len(self._outbox), time.monotonic() + _LAST_TRIES_S
            elif time.monotonic() >= deadline:
                break
        self._left = len(self._outbox)
        if self._left:
            _log.error("events that wait in the outbox for the broker: %d", self._left)

    def _take_down(self, worker: threading.Thread) -> None:
        for listener in self._listeners.values():
            # At a time: a child that heeds no polite request takes a second to end.
            threading.Thread(target=listener.stop, daemon=True).start()
        deadline = time.monotonic() + _CLOSE_S
        for listener in self._listeners.values():
            listener.join(max(0.0, deadline - time.monotonic()))
        with suppress(queue.Full):
            self._queue.put(None, timeout=_CLOSE_S)
            worker.join(_CLOSE_S)
        self._companies.save(at_end=True)
        if self._publisher is not None:
            self._publisher.publish_health(compact(self._report()))  # the last accounts
            self._publisher.stop(_GOODBYE_S)
        self._resources.close()

    def _offer(self, utterance: Utterance, live: bool) -> bool:
        """Queue an utterance; a file waits for room, a microphone cannot."""
        while True:
            try:
                self._queue.put(utterance, timeout=0 if live else _TICK_S)
            except queue.Full:
                if live or self._stopped:
                    return False
            else:
                return True

    def _recognise_all(self) -> None:
        while (utterance := self._queue.get()) is not None:
            try:
                self._handle(utterance)
            except BrokenPipeError as error:
                self._stdout_gone = error
                self.stop()
            except Exception as error:  # noqa: BLE001 - one bad utterance must not end the service
                self._health.sources[utterance.source].failed += 1
                why = f"{type(error).__name__}: {error}"
                _log.error("source %s: an utterance was lost: %s", utterance.source, why)
                _log.debug("where", exc_info=True)
            finally:
                self._queue.task_done()

    def _handle(self, utterance: Utterance) -> None:
        event = self._recogniser.recognise(utterance)
        publisher = self._publisher
        if publisher is not None:
            publisher.publish_event(event)
            state = self._states[event.source].feed(event.end, event.scores)
            publisher.set_state(event.source, state.to_json())
        self._health.published((time.monotonic() - utterance.ready) * 1000)
        self._on_event(event, publisher is not None and publisher.connected)

    def _source_status(self, name: str, online: bool) -> None:
        if self._publisher is not None:
            self._publisher.set_source_status(name, online)

    def _set_listening(self, name: str, on: bool) -> None:
        _log.info("source %s: listening %s", name, "on" if on else "off")
        self._listeners[name].listening = on
        try:
            self._switches.set(name, on)
        except OSError as error:
            _log.error("source %s: a restart will undo that: %s", name, reason(error))

    def _report(self) -> dict[str, object]:
        outbox, publisher = self._outbox, self._publisher
        if outbox is None or publisher is None:
            return self._health.report(0, 0)
        failure = publisher.outbox_failure or outbox.not_on_disk
        return self._health.report(len(outbox), outbox.dropped, publisher.lost, failure)


def _open_outbox(settings: Settings) -> Outbox:
    """In a file, or where that cannot be, in memory: events matter more than their keeping."""
    limits = settings.outbox.max_events, settings.outbox.max_age_h * 3600
    try:
        return Outbox(settings.outbox.path or state_dir(settings) / "outbox.db", *limits)
    except OutboxTakenError:
        raise  # two daemons would answer to one name
    except OutboxError as error:
        _log.error("%s; events wait in memory only", error)
        return Outbox(None, *limits, not_on_disk=f"{error}; events wait in memory only")
