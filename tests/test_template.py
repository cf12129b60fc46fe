import re
import tomllib

import pytest

from serd.settings import Settings, load
from serd.template import template


@pytest.fixture
def uncommented():
    return re.sub(r"^# (\w+ = .*)$", r"\1", template(), flags=re.MULTILINE)


def leaves(table):
    return [
        (key, *deeper)
        for key, value in table.items()
        for deeper in (leaves(value) if isinstance(value, dict) else [()])
    ]


def test_as_written_it_changes_nothing(tmp_path):
    path = tmp_path / "serd.toml"
    path.write_text(template())
    assert load(path) == Settings()


def test_with_every_key_it_is_the_default_still(tmp_path, uncommented):
    path = tmp_path / "serd.toml"
    path.write_text(uncommented)
    assert load(path) == Settings()


def test_it_has_every_key(uncommented):
    assert set(leaves(tomllib.loads(uncommented))) == set(leaves(Settings().model_dump()))


def test_every_key_is_explained(uncommented):
    lines = uncommented.splitlines()
    keys = [i for i, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    unexplained = [lines[i] for i in keys if not lines[i - 1].startswith("# ")]
    assert unexplained == ['mic = "default"']  # below its table's heading, which explains it
