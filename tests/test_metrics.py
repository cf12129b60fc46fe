import logging
import signal
import socket
import sys
import urllib.request
from http.client import HTTPConnection

import pytest

from serd.health import Health, SourceHealth
from serd.metrics import Metrics, MetricsError

from .mosquitto import eventually, free_port
from .program import one_line
from .running import Talker, configuration, running

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")


def scrape(port):
    """What Prometheus would read: each series' value."""
    from prometheus_client.parser import text_string_to_metric_families as families

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(text)
        for sample in family.samples
    }, list(families(text))


@pytest.fixture
def serve():
    """Serves the accounts of two sources; counts how often it was asked."""
    served = []

    def start(port=0):
        mic = SourceHealth(online=True, opened=2, samples=32_000, samples_lost=8_000, dropped=3)
        health = Health({"mic": mic, "cam": SourceHealth()})
        health.published(18.4)
        served.append(Metrics(port, lambda: health.report(5, 6, 7)))
        return served[-1]

    yield start
    for one in served:
        one.close()


def test_the_port_is_free_again_at_once(serve):  # a reload begins anew in the same process
    port = free_port()
    for _ in range(5):
        one = serve(port)
        scrape(port)
        one.close()


def test_the_report_in_prometheus_words(serve):
    found, families = scrape(serve().port)
    assert found["serd_source_online", "mic"] == 1
    assert found["serd_source_online", "cam"] == 0
    assert found["serd_source_received_seconds_total", "mic"] == 2
    assert found["serd_source_lost_seconds_total", "mic"] == 0.5
    assert found["serd_source_opened_total", "mic"] == 2
    assert found["serd_source_utterances_dropped_total", "mic"] == 3
    assert found["serd_source_utterances_total", "cam"] == 0
    assert found["serd_outbox_events",] == 5
    assert found["serd_outbox_dropped_total",] == 6
    assert found["serd_outbox_lost_total",] == 7
    assert found["serd_outbox_failing",] == 0
    assert found["serd_latency_seconds", "0.5"] == pytest.approx(0.0184)
    assert found["process_resident_memory_bytes",] > 1e6
    own = [family for family in families if family.name.startswith("serd_")]
    assert all(family.documentation.endswith(".") for family in own)
    assert {family.type for family in own} == {"gauge", "counter"}


def test_a_probe_gets_an_answer_without_a_body(serve):
    client = HTTPConnection("127.0.0.1", serve().port, timeout=30)
    client.request("HEAD", "/metrics")
    head, body = client.sock.makefile("rb").read().split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ")
    assert body == b""
    client.close()


def test_every_account_of_a_source_is_told(serve):
    families = scrape(serve().port)[1]
    told = {f.name for f in families if f.name.startswith("serd_source_")}
    assert len(told) == len(SourceHealth.__dataclass_fields__)


def test_only_this_machine_reaches_it(serve):
    listening = serve()._server.socket.getsockname()
    assert listening[0] == "127.0.0.1"


def test_bad_clients_are_outlived_in_silence(serve, monkeypatch, capfd, caplog):
    monkeypatch.setattr("serd.metrics._PATIENCE_S", 0.2)
    caplog.set_level(logging.WARNING)
    port = serve().port
    nonsense = [
        *(b"", b"\r\n", b"\0\xff\n", b"GET\r\n\r\n", b"GET /metrics SERD/9\r\n\r\n"),
        *(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", b"GET " + b"/" * 70_000),
        *(b"GET /?name[]=%00 HTTP/1.0\r\nAccept: ;;q=x\r\n\r\n", b"GET //[ HTTP/1.0\r\n\r\n"),
    ]
    for said in nonsense:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(said)
    silent = socket.create_connection(("127.0.0.1", port))
    assert scrape(port)[0]  # once the silent one has had its time
    silent.close()
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_a_port_that_is_taken(serve):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(MetricsError, match=rf"prometheus_port {port}: address already"):
            serve(port)


def test_it_lets_its_port_go(serve):
    one = serve()
    one.close()
    one._thread.join(30)
    assert serve(one.port).port == one.port


@pytest.fixture
def configured(tmp_path):
    port = free_port()
    path = configuration(tmp_path, "none")
    path.write_text(path.read_text() + f"prometheus_port = {port}\n")
    return port, path


def test_a_missing_library_is_one_line(serd, configured, woman, monkeypatch, tmp_path):
    # Found before the real one, and as absent as it would be.
    (tmp_path / "prometheus_client.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(filter(None, sys.path))}")
    done = serd("run", "--once", "--config", configured[1], "--source", f"w=file:{woman}")
    one_line(done, 2, "needs prometheus-client: install serd[prometheus]")


def test_a_daemon_is_scraped_while_it_hears(command, configured, woman, tmp_path):
    port, path = configured
    talker = Talker(tmp_path / "talker", woman)
    words = [*command, "run", "--config", str(path), "--source", f"cam={talker.spec}"]
    with (
        running(tmp_path / "run", words) as serd,
        socket.socket() as silent,  # a client that says nothing
    ):
        eventually(lambda: silent.connect_ex(("127.0.0.1", port)) == 0)
        talker.speak()
        eventually(lambda: len(serd.out) >= 3, "events, although a client is stuck")
        found, _ = scrape(port)
        assert found["serd_source_online", "cam"] == 1
        assert found["serd_source_utterances_total", "cam"] >= 3
        assert 0 < found["serd_latency_seconds", "0.5"] <= found["serd_latency_seconds", "0.99"]
        assert serd.end(signal.SIGTERM) == 0
        assert serd.err == ""
