"""What a running daemon says of itself, as it stands on the broker, and whether that is well."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from serd.settings import Settings
from serd.subscriber import Subscriber
from serd.topics import Topics

_STALE = 3
"""Health that is older than so many of its intervals comes from a daemon that hangs."""


class UnknownNodeError(Exception):
    """Nothing stands on the broker about a node; one line."""


@dataclass(frozen=True)
class SourceStatus:
    """One source."""

    online: bool
    listening: bool
    state: Mapping[str, Any]
    """Its smoothed state; empty where none is told."""


@dataclass(frozen=True)
class NodeStatus:
    """One node. What came over the network is as it came; only its outermost kind is certain."""

    node: str
    online: bool
    info: Mapping[str, Any]
    health: Mapping[str, Any]
    health_age_s: float | None
    """None where no health, or one of no known time, is told."""
    sources: Mapping[str, SourceStatus]

    @property
    def problems(self) -> list[str]:
        """What is not as it should be, a line each."""
        if not self.online:
            return [f"{self.node} is offline"]
        silent = [name for name, one in self.sources.items() if not one.online]
        found = [f"source {name} is offline" for name in silent]
        interval_s = number(self.health.get("interval_s"))
        age_s = self.health_age_s
        if age_s is not None and interval_s is not None and age_s > _STALE * interval_s:
            found.append(f"no word of its health for {age_s:.0f} s: it hangs, or a clock is wrong")
        outbox = self.health.get("outbox")
        if isinstance(outbox, Mapping) and isinstance(failure := outbox.get("failure"), str):
            found.append(failure)
        return found

    def as_dict(self) -> dict[str, Any]:
        """The object that `serd status --format json` prints."""
        return {
            "node": self.node,
            "online": self.online,
            "problems": self.problems,
            "sources": {
                name: {"online": one.online, "listening": one.listening, "state": dict(one.state)}
                for name, one in self.sources.items()
            },
            "info": dict(self.info),
            "health": dict(self.health),
            "health_age_s": self.health_age_s,
        }


def ask(settings: Settings) -> NodeStatus:
    """Read what stands on the broker about the settings' node.

    Raises:
        SettingsError: there is no broker to ask.
        NoAnswerError: it does not answer.
        UnknownNodeError: it tells nothing of the node.
    """
    topics = Topics(settings.mqtt.topic_prefix, settings.node)
    nodes = Topics(settings.mqtt.topic_prefix, "+").status
    wanted = [nodes, topics.info, topics.health]
    wanted += [topics.source_status("+"), topics.listening("+"), topics.state("+")]

    def enough(found: Mapping[str, bytes]) -> bool:
        if not {topics.status, topics.info, topics.health} <= found.keys():
            return False
        names = _sources(_object(found[topics.info]))
        each = (topics.source_status, topics.listening, topics.state)
        return all(topic(name) in found for name in names for topic in each)

    found = Subscriber(settings.mqtt).retained(wanted, enough)
    if topics.status not in found:
        others = sorted(topic.split("/")[-2] for topic in found if topic.endswith("/status"))
        there = f"; there are: {', '.join(others)}" if others else ""
        both = f"the broker knows nothing of {settings.node}, or this login may not read it"
        raise UnknownNodeError(both + there)
    return read(topics, found, datetime.now(UTC))


def read(topics: Topics, found: Mapping[str, bytes], now: datetime) -> NodeStatus:
    """What topics and their payloads say; what is nonsense counts as not said."""
    info, health = (_object(found.get(topic, b"")) for topic in (topics.info, topics.health))
    sources = {
        name: SourceStatus(
            online=found.get(topics.source_status(name)) == b"online",
            listening=found.get(topics.listening(name)) != b"OFF",
            state=_object(found.get(topics.state(name), b"")),
        )
        for name in _sources(info)
    }
    try:
        age_s = max(0.0, (now - datetime.fromisoformat(health["time"])).total_seconds())
    except (KeyError, TypeError, ValueError):
        age_s = None
    online = found.get(topics.status) == b"online"
    return NodeStatus(topics.node, online, info, health, age_s, sources)


def number(value: object) -> float | None:
    """A number that can be shown and calculated with; None for all else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    return None


def _sources(info: Mapping[str, Any]) -> list[str]:
    names = info.get("sources")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _object(payload: bytes) -> dict[str, Any]:
    try:
        found = json.loads(payload)
        json.dumps(found, allow_nan=False)  # which JSON has not, and Python reads nevertheless
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
