"""Builds everything that `serd run` needs, wires it, and takes it down again."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial

from serd import __version__, bundle, cleaning, homeassistant
from serd.broker import EmbeddedBroker
from serd.classifier import Classifier
from serd.companies import Companies
from serd.events import EmotionEvent, compact
from serd.health import Health, SourceHealth
from serd.listener import Listener
from serd.metrics import Metrics
from serd.mqtt import Publisher
from serd.outbox import Outbox, open_outbox
from serd.pipeline import Recogniser, Utterance
from serd.recognising import Recognising
from serd.settings import Settings, state_dir
from serd.showing import Showing
from serd.state import SmoothedState
from serd.switches import Switches
from serd.watchdog import Watchdog

_TICK_S = 0.25
_END_S = 1.0
"""From `stop` until the last words are said, and when the sources must have closed and the last
utterance must be recognised, as shares of that: with what else an exit takes, two seconds."""
_CLOSED_BY, _RECOGNISED_BY = 0.4, 0.75
_PATIENTLY_S = 10.0
"""Instead of `_END_S` where nobody waits."""
_GOODBYE_S = 2.0
"""At most for the broker to take the last words."""
_NAP_S = 0.02
_AGAIN_S = 10.0  # from one try to the next of a disk that takes nothing
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
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Load the model and open what is needed to publish.

        Args:
            settings: the configuration.
            once: end when all files have ended, or without files all sources; none is
                opened again.
            on_event: called with each event, and whether a broker is connected.
            on_tick: called several times a second, by the thread of `run`.

        Raises:
            BundleError, SettingsError, VoicesError, BrokerError, MetricsError,
                OutboxTakenError: with one line each.
        """
        self._settings = settings
        self._once = once
        self._showing = Showing(on_event)
        self._on_tick = on_tick
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
        self._recognising = Recognising(self._recognise)
        # No Event: a signal handler that sets one may wait for the lock of whom it interrupts.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopped = False
        self._end = float("inf")  # when it must have ended, s on the monotonic clock
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
        with self._resources:  # what is open is closed again should the rest fail
            if settings.mqtt.broker != "none":
                self._connect(settings)
            if port := settings.health.prometheus_port:
                self._resources.callback(Metrics(port, self._report).close)
            self._resources = self._resources.pop_all()
        pulses = {f"source {name}": one.pulse for name, one in self._listeners.items()}
        if self._publisher is not None:
            pulses |= self._publisher.pulses
        self._watchdog = Watchdog({"the recogniser": self._recognising.pulse, **pulses})

    def run(self) -> bool:
        """Work until `stop`, or with `once` until all is done; tell whether that went well.

        Raises:
            BrokenPipeError: nobody reads what `on_event` prints.
        """
        self._recognising.start()
        if self._publisher is not None:
            self._publisher.start()
        for listener in self._listeners.values():
            listener.start()
        try:
            self._watch()
        finally:
            self._take_down()
        if self._stdout_gone is not None:
            raise self._stdout_gone
        lost = self._publisher is not None and self._publisher.lost
        failed = self._left or lost or any(one.failure for one in self._listeners.values())
        return not (self._once and failed)

    def stop(self, patiently: bool = False) -> None:
        """Make `run` return soon; also from a signal handler.

        Args:
            patiently: what was heard until now may take longer than two seconds.
        """
        self._end = min(self._end, time.monotonic() + (_PATIENTLY_S if patiently else _END_S))
        self._stopped = True
        self._bell.put(None)

    @property
    def summary(self) -> str:
        """How it is, in one line."""
        online = [one.online for one in self._health.sources.values()]
        sources = f"sources online: {sum(online)} of {len(online)}"
        if self._publisher is None:
            return sources
        return f"{sources}; broker: {'' if self._publisher.connected else 'not '}connected"

    def _connect(self, settings: Settings) -> None:
        mqtt = settings.mqtt
        if mqtt.broker == "embedded":
            broker = EmbeddedBroker(mqtt.embedded_port)
            self._resources.callback(broker.close)
            mqtt = mqtt.model_copy(update={"embedded_port": broker.port})
        self._outbox = open_outbox(settings)
        self._resources.callback(self._outbox.close)
        labels = self._card.labels
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
            discovery=homeassistant.all_discovery(settings, labels, __version__),
            # Who tries out a file with `once` has not done away with all other sources.
            forget=None if self._once else partial(homeassistant.topics_of, settings),
        )
        self._say_states(self._publisher)

    def _watch(self) -> None:
        """Keep the time-driven things going."""
        next_health = next_try = time.monotonic()
        while not self._stopped:
            self._on_tick()
            self._watchdog.look()
            with suppress(queue.Empty):
                self._bell.get(timeout=_TICK_S)
            if self._publisher is not None:
                self._say_states(self._publisher)
                # What falls due while there is no broker is said as soon as there is one.
                if self._publisher.connected and time.monotonic() >= next_health:
                    next_health = time.monotonic() + self._settings.health.interval_s
                    self._publisher.publish_health(compact(self._report()))
            self._companies.save()
            if time.monotonic() >= next_try:
                next_try = time.monotonic() + _AGAIN_S
                self._try_disk_again()
            ended = self._once and all(listener.done for listener in self._awaited)
            if ended and self._recognising.idle:
                if self._publisher is not None:
                    self._left = self._publisher.drain(_LAST_TRIES_S, lambda: self._stopped)
                return

    def _say_states(self, publisher: Publisher) -> None:
        for name, state in self._states.items():
            publisher.set_state(name, state.at(datetime.now(UTC)).to_json())

    def _take_down(self) -> None:
        self.stop(patiently=True)  # nobody waits, unless somebody stopped it before
        for listener in self._listeners.values():
            # At a time: a child that heeds no polite request takes a while to end.
            threading.Thread(target=listener.stop, daemon=True).start()
        while not all(one.done for one in self._listeners.values()) and self._left_s(_CLOSED_BY):
            time.sleep(_NAP_S)
        unrecognised = self._recognising.finish(lambda: self._left_s(_RECOGNISED_BY) > 0)
        if unrecognised and (self._publisher or not self._stdout_gone):
            _log.error("utterances that there was no time to recognise: %d", unrecognised)
        self._companies.save(at_end=True)
        if self._publisher is not None:
            self._publisher.publish_health(compact(self._report()))  # the last accounts
            self._publisher.stop(min(_GOODBYE_S, self._left_s(1)))
        self._resources.close()

    def _left_s(self, share: float) -> float:
        """How much is left of the first share of the time to end, s."""
        return max(0.0, self._end - (1 - share) * _END_S - time.monotonic())

    def _offer(self, utterance: Utterance, live: bool) -> bool:
        """Queue an utterance; a file waits for room, a microphone cannot."""
        while not self._recognising.offer(utterance, 0 if live else _TICK_S):
            if live or self._stopped:
                return False
        return True

    def _recognise(self, utterance: Utterance) -> None:
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

    def _handle(self, utterance: Utterance) -> None:
        event = self._recogniser.recognise(utterance)
        if self._recognising.given_up:  # nothing takes it any more
            return
        publisher = self._publisher
        if publisher is not None:
            publisher.publish_event(event)
            state = self._states[event.source].feed(event.end, event.scores)
            publisher.set_state(event.source, state.to_json())
        self._health.published((time.monotonic() - utterance.ready) * 1000)
        shown = self._showing.event(event, publisher is not None and publisher.connected)
        if not shown and publisher is None:  # then it went nowhere
            self._health.sources[event.source].failed += 1

    def _source_status(self, name: str, online: bool) -> None:
        if self._publisher is not None:
            self._publisher.set_source_status(name, online)

    def _set_listening(self, name: str, on: bool) -> None:
        _log.info("source %s: listening %s", name, "on" if on else "off")
        self._listeners[name].listening &= on  # at once, however slow the disk
        self._switches.set(name, on)
        self._listeners[name].listening = on

    def _try_disk_again(self) -> None:
        """Use what a state directory that is back takes, and tells."""
        if self._publisher is not None:
            self._publisher.mend_outbox()
        self._switches.mend()
        for name, listener in self._listeners.items():
            if listener.listening and not self._switches.on(name):
                self._set_listening(name, False)
                if self._publisher is not None:
                    self._publisher.set_listening(name, False)

    def _report(self) -> dict[str, object]:
        outbox, mqtt = self._outbox, self._publisher
        if outbox is None or mqtt is None:
            return self._health.report(0, 0)
        return self._health.report(len(outbox), outbox.dropped, mqtt.lost, mqtt.outbox_failure)
