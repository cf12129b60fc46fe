import csv
import io
import json
from functools import partial

import numpy as np
import pytest
import soundfile

from serd import bundle, recording, speech
from serd.audio import SAMPLE_RATE, read_blocks
from serd.batch import classify_files
from serd.classifier import UNCERTAIN, Classifier
from serd.settings import Settings

from .adaptive import spoken

LABELS = list(bundle.read_card(bundle.find(Settings().model)).labels)
KEYS = ["file", "duration_s", "emotion", "confidence", "scores", "model", "denoised", "segments"]
PART_KEYS = ["start_s", "end_s", "emotion", "confidence", "scores", "denoised"]


@pytest.fixture
def silence(tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    return path


def check(found, keys):
    """That something classified obeys the contract."""
    uncertain = found["emotion"] == UNCERTAIN
    assert [key for key in found if key != "best"] == keys
    assert ("best" in found) == uncertain
    assert list(found["scores"]) == LABELS
    assert sum(found["scores"].values()) == pytest.approx(1, abs=1e-3)
    best = found["best"] if uncertain else found["emotion"]
    assert found["confidence"] == found["scores"][best] == max(found["scores"].values())


def test_jsonl_is_one_object_a_file_in_the_order_given(serd, woman, man, silence):
    files = [man, silence, woman, man]
    done = serd("classify", "--format", "jsonl", *files)
    assert (done.returncode, done.stderr) == (0, "")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [found["file"] for found in objects] == [str(file) for file in files]
    assert objects[0] == objects[3]
    nothing = objects.pop(1)
    assert nothing == {
        "file": str(silence),
        "duration_s": 1.0,
        "emotion": None,
        "model": objects[0]["model"],
        "denoised": False,
        "segments": [],
    }
    for found in objects:
        check(found, KEYS)
        assert len(found["segments"]) >= 4  # sentences
        end = 0
        for part in found["segments"]:
            check(part, PART_KEYS)
            assert end <= part["start_s"] < part["end_s"] <= found["duration_s"]
            end = part["end_s"]


@pytest.mark.parametrize(("threshold", "uncertain"), [(1.0, True), (0.0, False)])
def test_best_stands_beside_uncertain_only(woman, threshold, uncertain):
    classifier = Classifier(bundle.load(bundle.find(Settings().model)))
    classifier.card = classifier.card.model_copy(update={"uncertain_below": threshold})
    found = recording.classify(spoken(woman), classifier).as_dict()
    check(found, KEYS)
    for what in (found, *found["segments"]):
        assert (what["emotion"] == UNCERTAIN) == uncertain


def test_the_whole_is_the_mean_of_the_parts_by_their_length(woman):
    classifier = Classifier(bundle.load(bundle.find(Settings().model)))
    found = recording.classify(spoken(woman), classifier)
    lengths = [part.end_s - part.start_s for part in found.parts]
    scores = [list(part.prediction.scores.values()) for part in found.parts]
    expected = np.average(scores, axis=0, weights=lengths)
    np.testing.assert_allclose(list(found.whole.scores.values()), expected, rtol=1e-9)


@pytest.mark.parametrize("block_samples", [17, 509, 4096, 10**6])
def test_the_same_whatever_the_chunks(woman, monkeypatch, block_samples):
    classifier = Classifier(bundle.load(bundle.find(Settings().model)))
    once = recording.classify(spoken(woman), classifier)
    chunks = partial(read_blocks, block_samples=block_samples)
    monkeypatch.setattr(speech, "read_blocks", chunks)
    assert recording.classify(spoken(woman), classifier) == once


def test_two_processes_find_what_one_does(serd, woman, man, silence, tmp_path):
    files = [woman, tmp_path / "none.wav", man, silence, woman]
    one, two = (serd("classify", "--format", "jsonl", "--jobs", n, *files) for n in (1, 2))
    assert (two.returncode, two.stdout, two.stderr) == (one.returncode, one.stdout, one.stderr)
    assert len(two.stdout.splitlines()) == 4
    assert one.returncode == 1


def test_nothing_is_read_before_it_is_asked_for(woman, tmp_path):
    results = classify_files([woman, tmp_path / "none.wav"], Settings())
    path, found = next(results)
    assert path == woman
    assert found.parts
    assert isinstance(next(results)[1], Exception)


def test_csv_has_a_row_a_file_and_a_column_a_label(serd, woman, silence):
    done = serd("classify", "--format", "csv", woman, silence)
    assert (done.returncode, done.stderr) == (0, "")
    header, speech, nothing = csv.reader(io.StringIO(done.stdout))
    assert header == ["file", "duration_s", "emotion", "best", "confidence", *LABELS]
    row = dict(zip(header, speech, strict=True))
    assert row["file"] == str(woman)
    assert sum(float(row[label]) for label in LABELS) == pytest.approx(1, abs=1e-3)
    assert row["confidence"] == row[row["best"]]
    assert nothing == [str(silence), "1.000", *[""] * (len(header) - 2)]


def test_a_table_has_a_line_a_file(serd, woman, silence):
    done = serd("classify", woman, silence)
    assert (done.returncode, done.stderr) == (0, "")
    speech, nothing = done.stdout.splitlines()
    assert woman.name in speech
    assert "%" in speech
    assert "\x1b" not in done.stdout  # it is no terminal
    assert nothing.endswith("1.0 s  no speech")


def test_real_recordings_of_every_emotion_obey_the_contract(serd, data):
    clips = sorted((data / "ravdess" / "Actor_05").glob("03-01-*-01-01-01-05.*"))
    assert len(clips) == 8
    done = serd("classify", "--format", "jsonl", *clips)
    assert (done.returncode, done.stderr) == (0, "")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [found["file"] for found in objects] == [str(clip) for clip in clips]
    for found in objects:
        check(found, KEYS)
