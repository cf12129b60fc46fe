"""The health report for Prometheus, on the loopback address only."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from serd.audio import SAMPLE_RATE
from serd.wording import reason

if TYPE_CHECKING:
    from prometheus_client import Metric

_HOST = "127.0.0.1"
_PATIENCE_S = 2.0
"""For a client to say what it wants, and to take the answer."""

_log = logging.getLogger(__name__)

_SECONDS = {  # of the samples in a source's accounts
    "samples": ("received", "Sound that arrived."),
    "samples_muted": ("muted", "Sound that arrived while the source was not to listen."),
    "samples_in_segments": ("in_utterances", "Sound that is part of an utterance."),
    "samples_discarded": ("discarded", "Sound that is part of no utterance."),
    "samples_lost": ("lost", "Sound that never arrived: overflows."),
}
_COUNTS = {
    "opened": ("opened", "How often the source was opened."),
    "gaps": ("gaps", "How often sound was lost, or the source came back."),
    "absent_s": ("absent_seconds", "How long it was away, until now if it is."),
    "utterances": ("utterances", "Utterances that were heard."),
    "dropped": ("utterances_dropped", "Utterances that found the queue full."),
    "failed": ("utterances_failed", "Utterances not recognised, or shown nowhere."),
}


class MetricsError(Exception):
    """The endpoint cannot be served; the message says why, in one line."""


def require() -> None:
    """Raise MetricsError unless what is needed to serve is installed."""
    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise MetricsError(
            "health.prometheus_port needs prometheus-client: install serd[prometheus]"
        ) from error


class Metrics:
    """Serves a report in a thread of its own, to one client after the other."""

    def __init__(self, port: int, report: Callable[[], Mapping[str, Any]]) -> None:
        """Start it.

        Args:
            port: where it listens on the loopback address; 0 takes a free one.
            report: what `Health.report` gives; called for each request.

        Raises:
            MetricsError: prometheus-client is not installed, or the port is taken.
        """
        require()
        from prometheus_client import CollectorRegistry, MetricsHandler, ProcessCollector

        registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, processor time, open files, start
        registry.register(_Collector(report))
        handler = MetricsHandler.factory(registry)
        handler.timeout = _PATIENCE_S  # type: ignore[attr-defined] # of socketserver's handlers
        handler.do_HEAD = _answer_nothing  # type: ignore[attr-defined] # and of http.server's
        try:
            self._server = _Server((_HOST, port), handler)
        except OSError as error:
            raise MetricsError(f"health.prometheus_port {port}: {reason(error)}") from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the port to whoever comes next; a request that is being answered goes on."""
        threading.Thread(target=self._server.shutdown, daemon=True).start()
        with suppress(OSError):  # it was closed before
            self._server.socket.shutdown(socket.SHUT_RDWR)  # or the waiting thread holds the port
        self._server.server_close()

    def _serve(self) -> None:
        with self._server:
            self._server.serve_forever()


def _answer_nothing(handler: BaseHTTPRequestHandler) -> None:
    """To who only asks whether it is there."""
    handler.send_response(200)
    handler.end_headers()


class _Server(TCPServer):
    """Not `HTTPServer`, which asks a name server who 127.0.0.1 is."""

    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left early or sent nonsense is its own trouble."""
        del request
        _log.debug("metrics: a request of %s failed", client_address, exc_info=True)


class _Collector:
    """Translates the report, each time that it is asked for."""

    def __init__(self, report: Callable[[], Mapping[str, Any]]) -> None:
        self._report = report

    def collect(self) -> Iterator["Metric"]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        report = self._report()
        outbox, sources = report["outbox"], report["sources"]
        yield GaugeMetricFamily("serd_uptime_seconds", "Since the start.", report["uptime_s"])
        latency = GaugeMetricFamily(
            "serd_latency_seconds",
            "From when an utterance's end was certain to its publishing; the last 1,000.",
            labels=["quantile"],
        )
        for quantile, key in (("0.5", "median"), ("0.99", "p99")):
            if report["latency_ms"][key] is not None:
                latency.add_metric([quantile], report["latency_ms"][key] / 1000)
        yield latency
        yield GaugeMetricFamily(
            "serd_outbox_events", "Events that wait for the broker.", outbox["depth"]
        )
        yield CounterMetricFamily(
            "serd_outbox_dropped", "Events that became too many or too old.", outbox["dropped"]
        )
        yield CounterMetricFamily(
            "serd_outbox_lost", "Events that neither disk nor broker took.", outbox["lost"]
        )
        yield GaugeMetricFamily(
            "serd_outbox_failing",
            "Whether the disk takes no events.",
            outbox["failure"] is not None,
        )
        online = GaugeMetricFamily(
            "serd_source_online", "Whether the source delivers sound.", labels=["source"]
        )
        for name, source in sources.items():
            online.add_metric([name], source["online"])
        yield online
        for accounts, unit, scale in ((_SECONDS, "_seconds", SAMPLE_RATE), (_COUNTS, "", 1)):
            for key, (word, meaning) in accounts.items():
                family = CounterMetricFamily(
                    f"serd_source_{word}{unit}", meaning, labels=["source"]
                )
                for name, source in sources.items():
                    family.add_metric([name], source[key] / scale)
                yield family
