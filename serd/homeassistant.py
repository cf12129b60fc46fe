"""What Home Assistant needs to find a source by itself: MQTT device discovery."""

from collections.abc import Sequence
from typing import Any

from serd.events import UNCERTAIN
from serd.settings import Settings
from serd.state import IDLE
from serd.topics import Topics


def topic(prefix: str, node: str, source: str) -> str:
    """Where Home Assistant looks for one source; nothing there takes the device away."""
    return f"{prefix}/device/serd_{node}_{source}/config"


def all_discovery(
    settings: Settings, labels: Sequence[str], version: str
) -> dict[str, dict[str, Any]]:
    """Each source's topic and payload; none where Home Assistant is not to be told."""
    if not settings.homeassistant.discovery:
        return {}
    where = settings.homeassistant.prefix, settings.mqtt.topic_prefix, settings.node
    return dict(discovery(*where, name, labels, version) for name in settings.sources)


def topics_of(settings: Settings, source: str) -> list[str]:
    """Where a source that is no more may be described, if it is surely that one.

    `pi`'s `kitchen_mic` has the name of `pi_kitchen`'s `mic`, which may well be alive.
    """
    found = settings.homeassistant
    if not found.discovery or "_" in settings.node + source:
        return []
    return [topic(found.prefix, settings.node, source)]


def discovery(
    prefix: str, topic_prefix: str, node: str, source: str, labels: Sequence[str], version: str
) -> tuple[str, dict[str, Any]]:
    """Describe one source as a device.

    Args:
        prefix: Home Assistant's, usually `homeassistant`.
        topic_prefix: serd's.
        node: this machine's name in topics.
        source: the source's name.
        labels: the model's.
        version: serd's.

    Returns:
        The topic and the payload, to be published retained.

    Reference:
        https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
    """
    topics = Topics(topic_prefix, node)
    device = f"serd_{node}_{source}"
    entities: dict[str, dict[str, Any]] = {
        "event": {
            "p": "event",
            "name": "Utterance",
            "icon": "mdi:account-voice",
            "state_topic": topics.event(source),
            "event_types": [*labels, UNCERTAIN],
        },
        "emotion": {
            "p": "sensor",
            "name": "Emotion",
            "icon": "mdi:emoticon-outline",
            "device_class": "enum",
            "options": [*labels, IDLE],
            "state_topic": topics.state(source),
            "value_template": "{{ value_json.emotion }}",
        },
        "confidence": {
            "p": "sensor",
            "name": "Confidence",
            "icon": "mdi:gauge",
            "state_class": "measurement",
            "suggested_display_precision": 2,
            "state_topic": topics.state(source),
            # While idle it is null, which comes out as None: unknown.
            "value_template": "{{ value_json.confidence }}",
        },
        "listening": {
            "p": "switch",
            "name": "Listening",
            "icon": "mdi:microphone",
            "state_topic": topics.listening(source),
            "command_topic": topics.listening_set(source),
        },
    }
    for key, entity in entities.items():
        entity["unique_id"] = f"{device}_{key}"
    return topic(prefix, node, source), {
        "dev": {"ids": [device], "name": f"{node} {source}", "mf": "serd", "sw": version},
        "o": {"name": "serd", "sw": version},
        "cmps": entities,
        "avty": [{"t": topics.status}, {"t": topics.source_status(source)}],
        "avty_mode": "all",
        "qos": 1,
    }
