import hashlib
import json
import shutil

import numpy as np
import pytest

from serd.bundle import (
    BundleError,
    available,
    find,
    load,
    open_network,
    read_any_card,
    read_card,
)
from serd.settings import Settings

from .adaptive import SOUND, made_up, write_bundle

DEFAULT = Settings().model


@pytest.fixture
def copy(tmp_path):
    """A model that gets used to nobody, to be damaged."""
    return shutil.copytree(find("cnn"), tmp_path / "copy")


def change(bundle, **keys):
    file = bundle / "card.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | keys))


def change_input(bundle, number, **keys):
    inputs = json.loads((bundle / "card.json").read_bytes())["inputs"]
    inputs[number] |= keys
    change(bundle, inputs=inputs)


def change_features(bundle, **keys):
    inputs = json.loads((bundle / "card.json").read_bytes())["inputs"]
    change_input(bundle, 0, features=inputs[0]["features"] | keys)


def replace_network(bundle, content):
    """Put something else in its place, and its hash into the card."""
    (bundle / "model.tflite").write_bytes(content)
    change(bundle, sha256=hashlib.sha256(content).hexdigest())


def refusal(bundle):
    with pytest.raises(BundleError) as error:
        load(bundle)
    said = str(error.value)
    assert len(said.splitlines()) == 1
    assert said.startswith(str(bundle))
    return said


def test_every_model_here_can_be_loaded_and_says_where_it_comes_from():
    assert DEFAULT in [path.name for path in available()]
    for path in available():
        card = read_any_card(path)
        assert open_network(path, card)
        assert path.name == card.name
        assert card.licence
        assert card.data


def test_found_by_name_and_by_path(copy, monkeypatch):
    assert find(DEFAULT).name == DEFAULT
    assert find(str(copy)) == copy
    monkeypatch.chdir(copy.parent)
    assert find("copy").resolve() == copy
    assert load(find("copy")).card == load(find("cnn")).card


@pytest.mark.parametrize("name", ["nosuch", "", "..", "/dev/null"])
def test_what_is_no_model_is_told_with_those_that_are(name):
    with pytest.raises(BundleError, match=rf"no such model \(there are: .*{DEFAULT}") as error:
        find(name)
    assert str(error.value).startswith(f"{name}:")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda b: (b / "model.tflite").open("ab").write(b"x"), "SHA-256 is not the card's"),
        (lambda b: (b / "model.tflite").unlink(), "model.tflite: no such file"),
        (lambda b: (b / "card.json").unlink(), "card.json: no such file"),
        (lambda b: (b / "card.json").write_bytes(b'{"name": '), "card.json: not JSON"),
        (lambda b: (b / "card.json").write_bytes(b"\xff\xfe"), "card.json: not JSON"),
        (lambda b: (b / "card.json").write_bytes(b"[" * 100_000), "card.json: not JSON"),
        (lambda b: (b / "card.json").write_bytes(b"[]"), "card.json: "),
        (lambda b: change(b, colour="red"), "card.json: colour: unknown key"),
        (lambda b: change(b, temperature=0), "card.json: temperature: "),
        (lambda b: change(b, sha256="0" * 63), "card.json: sha256: "),
        (lambda b: change(b, labels="happy"), "card.json: labels: should be a list"),
        (lambda b: change(b, labels=["happy"]), "card.json: labels: "),
        (lambda b: change(b, labels=["happy", "sad"]), "not have one score a label"),
        (lambda b: change(b, labels=["happy"] * 8), "the same name"),
        (lambda b: change(b, outputs=["scores", "loudness"]), "outputs are not the card's"),
        (lambda b: change(b, outputs=["logits"]), "outputs are not the card's"),
        (lambda b: change_input(b, 0, name="sound"), "inputs are ['log_mel', 'log_mel_mask']"),
        (lambda b: change_input(b, 1, mask_of="sound"), "input log_mel_mask has the shape"),
        (lambda b: change_input(b, 1, mask_of="log_mel_mask"), "input log_mel_mask has the shape"),
        (lambda b: change_input(b, 1, mask_of=None), "one of features, mask_of and baseline"),
        (lambda b: change_features(b, n_mels=64), "input log_mel has the shape (1, 300, 80)"),
        (lambda b: change_features(b, statistics=["mean"]), "input log_mel has the shape"),
        (lambda b: change_features(b, sample_rate=22_050), "not of sound at 16000 Hz"),
        (lambda b: change_features(b, window="hamming"), "unknown key"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(copy, damage, said):
    damage(copy)
    assert said in refusal(copy)


def change_adaptation(bundle, **keys):
    change(bundle, adaptation=json.loads((bundle / "card.json").read_bytes())["adaptation"] | keys)


TOGETHER = "card.json: a baseline, the output embedding and adaptation go together"
ADAPTATION = {"prior": 3, "keep": 0.99, "mean": [0] * 300, "spread": [1] * 300}


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: change(b, outputs=["scores", "embedding"]),
        lambda b: change(b, adaptation=ADAPTATION),
        lambda b: change(b, outputs=["scores", "embedding"], adaptation=ADAPTATION),
        lambda b: change_input(b, 1, mask_of=None, baseline=300),
    ],
)
def test_what_would_get_used_to_voices_in_part_is_refused(copy, damage):
    damage(copy)
    assert TOGETHER in refusal(copy)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda b: change(b, adaptation=None), TOGETHER),
        (lambda b: change(b, outputs=["scores"]), TOGETHER),
        (lambda b: change_input(b, 1, baseline=None, mask_of="sound"), TOGETHER),
        (lambda b: change_input(b, 0, features=None, baseline=2), "two inputs are baselines"),
        (lambda b: change_input(b, 1, baseline=3), "the baseline and adaptation differ in size"),
        (
            lambda b: (
                change_input(b, 1, baseline=3),
                change_adaptation(b, mean=[0] * 3, spread=[1] * 3),
            ),
            "input baseline has the shape (1, 2), not the card's",
        ),
        (lambda b: change_adaptation(b, spread=[1] * 3), "mean and spread differ in length"),
        (lambda b: change_adaptation(b, spread=[1, -1]), "card.json: adaptation.spread.1: "),
        (lambda b: change_adaptation(b, mean=[0, float("nan")]), "card.json: adaptation.mean.1: "),
        (lambda b: change_adaptation(b, prior=0), "card.json: adaptation.prior: "),
        (lambda b: change_adaptation(b, keep=1.5), "card.json: adaptation.keep: "),
        (lambda b: change_adaptation(b, forgetting=1), "adaptation.forgetting: unknown key"),
    ],
)
def test_what_gets_used_to_voices_must_fit_together(tmp_path, damage, said):
    made = made_up(tmp_path / "made-up")
    assert load(made).card.adaptation.prior == 3
    damage(made)
    assert said in refusal(made)


def test_an_embedding_of_another_size_is_refused(tmp_path):
    made = write_bundle(
        tmp_path / "made-up",
        np.zeros((1, SOUND.size)),
        np.zeros(1),
        np.ones((3, 2)),
        {"prior": 3, "keep": 1, "mean": [0, 0], "spread": [1, 1]},
    )
    assert "the network's embedding is not of the baseline's size" in refusal(made)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.9])
def test_a_damaged_network_whose_hash_fits_is_refused(copy, kept):
    pytest.importorskip("ai_edge_litert", reason="tflite-runtime does not check a file, and dies")
    content = (copy / "model.tflite").read_bytes()
    replace_network(copy, content[: int(kept * len(content))])
    assert "not a usable TFLite model" in refusal(copy)


def test_what_is_no_network_at_all_is_refused(copy):
    replace_network(copy, b"not a network, but long enough to be looked at")
    assert "not a usable TFLite model" in refusal(copy)


@pytest.mark.parametrize("words", [["classify", "x.wav", "--model"], ["run", "--model"]])
def test_the_program_ends_with_2_and_one_line(copy, serd, words):
    change(copy, sha256="0" * 64)
    done = serd(*words, copy)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"serd: {refusal(copy)}"]


def test_a_card_survives_json():
    card = read_card(find(DEFAULT))
    assert type(card).model_validate_json(card.model_dump_json()) == card


def test_a_name_of_any_length_is_no_model():
    with pytest.raises(BundleError, match="no such model"):
        find("x" * 5_000)
