import json
import re

import pytest

from serd.homeassistant import discovery, topics_of
from serd.settings import Settings

LABELS = ["neutral", "angry"]
TOPIC, PAYLOAD = discovery("homeassistant", "serd", "pi", "mic", LABELS, "1.2.3")


def test_the_topic_is_one_that_home_assistant_takes():
    assert TOPIC == "homeassistant/device/serd_pi_mic/config"
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", TOPIC)


def test_the_device_and_its_origin():
    assert PAYLOAD["dev"] == {"ids": ["serd_pi_mic"], "name": "pi mic", "mf": "serd", "sw": "1.2.3"}
    assert PAYLOAD["o"]["name"] == "serd"  # required, or Home Assistant takes nothing
    assert json.loads(json.dumps(PAYLOAD)) == PAYLOAD


def test_available_while_node_and_source_are():
    assert PAYLOAD["avty_mode"] == "all"
    assert [one["t"] for one in PAYLOAD["avty"]] == ["serd/pi/status", "serd/pi/mic/status"]


def test_each_entity_says_its_platform_and_has_an_id_of_its_own():
    entities = PAYLOAD["cmps"]
    assert sorted(one["p"] for one in entities.values()) == ["event", "sensor", "sensor", "switch"]
    assert len({one["unique_id"] for one in entities.values()}) == 4
    assert all(one["unique_id"].startswith("serd_pi_mic_") for one in entities.values())


def test_entities_read_and_write_where_serd_does():
    entities = PAYLOAD["cmps"]
    assert entities["event"]["state_topic"] == "serd/pi/mic/event"
    assert entities["event"]["event_types"] == ["neutral", "angry", "uncertain"]
    assert entities["emotion"]["state_topic"] == "serd/pi/mic/state"
    # An enum sensor takes no unit and no state class.
    assert entities["emotion"]["device_class"] == "enum"
    assert entities["emotion"]["options"] == ["neutral", "angry", "idle"]
    assert not {"state_class", "unit_of_measurement"} & entities["emotion"].keys()
    assert entities["listening"]["state_topic"] == "serd/pi/mic/listening"
    assert entities["listening"]["command_topic"] == "serd/pi/mic/listening/set"


def test_two_sources_are_two_devices():
    other_topic, other = discovery("homeassistant", "serd", "pi", "door", LABELS, "1.2.3")
    assert other_topic != TOPIC
    assert other["dev"]["ids"] != PAYLOAD["dev"]["ids"]


def test_a_source_that_is_no_more_is_taken_away():
    assert topics_of(Settings(node="pi"), "mic") == [TOPIC]
    assert topics_of(Settings(node="pi", homeassistant={"discovery": False}), "mic") == []


@pytest.mark.parametrize(("node", "source"), [("pi", "kitchen_mic"), ("pi_kitchen", "mic")])
def test_what_may_be_another_node_s_source_is_not_taken_away(node, source):
    topic, _ = discovery("homeassistant", "serd", node, source, LABELS, "1.2.3")
    assert topic == "homeassistant/device/serd_pi_kitchen_mic/config"
    assert topics_of(Settings(node=node), source) == []
