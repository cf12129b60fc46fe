import json
import os
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import psutil
import pytest

from serd.events import compact
from serd.health import Health, SourceHealth, resident_mb


def test_a_report_has_the_contract_s_contents():
    mic = SourceHealth(online=True, opened=2, samples=32_000, gaps=1, samples_lost=7, dropped=3)
    report = json.loads(compact(Health({"mic": mic}, 7).report(5, 6)))
    assert report["schema"] == 1
    assert abs(datetime.fromisoformat(report["time"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert report["interval_s"] == 7
    assert report["uptime_s"] >= 0
    assert report["outbox"] == {"depth": 5, "dropped": 6, "lost": 0, "failure": None}
    assert report["latency_ms"] == {"median": None, "p99": None}
    assert report["memory_mb"] > 0
    assert report["sources"] == {
        "mic": {
            "online": True,
            "opened": 2,
            "samples": 32_000,
            "samples_muted": 0,
            "samples_in_segments": 0,
            "samples_discarded": 0,
            "gaps": 1,
            "samples_lost": 7,
            "absent_s": 0,
            "utterances": 0,
            "dropped": 3,
            "failed": 0,
        }
    }


def test_latencies_are_of_the_last_thousand_events():
    health = Health({})
    for latency_ms in [10**6] * 500 + list(range(1, 1_001)):
        health.published(latency_ms)
    assert health.report(0, 0)["latency_ms"] == {"median": 500.5, "p99": 990.0}


def test_one_event_is_its_own_median():
    health = Health({})
    health.published(4.26)
    assert json.loads(compact(health.report(0, 0)))["latency_ms"] == {"median": 4.3, "p99": 4.3}


def test_it_may_be_asked_while_events_go_out():
    health = Health({})
    going = threading.Event()

    def publish():
        while not going.is_set():
            health.published(1.0)

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        for _ in range(30):
            assert health.report(0, 0)["latency_ms"]["median"] in (None, 1.0)
    finally:
        going.set()
        thread.join(30)


def test_memory_is_what_the_system_says():
    ballast = np.ones(20_000_000)  # 160 MB
    rss_mb = psutil.Process().memory_info().rss / 1e6
    assert resident_mb() == pytest.approx(rss_mb, rel=0.1)
    assert resident_mb(os.getpid()) > ballast.nbytes / 1e6
