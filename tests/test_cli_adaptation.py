"""Getting used to voices, through the program: `enroll`, `--baseline`, `[adaptation]`."""

import json
import signal

import numpy as np
import pytest
import soundfile

from serd import bundle
from serd.adaptation import recognise
from serd.audio import SAMPLE_RATE
from serd.baseline import Baseline
from serd.classifier import Classifier
from serd.company import Company

from .adaptive import spoken, telling_apart
from .mosquitto import eventually
from .program import one_line
from .running import Talker, running

AS_IT_IS = ("--denoise", "off")


@pytest.fixture(scope="module")
def model(tmp_path_factory, woman, man):
    return telling_apart(tmp_path_factory.mktemp("models") / "twofold", woman, man)


@pytest.fixture(scope="module")
def classifier(model):
    return Classifier(bundle.load(model))


@pytest.fixture
def state(tmp_path):
    """Where the program keeps what must survive a restart."""
    return tmp_path / "state" / "serd"


@pytest.fixture
def silence(tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(SAMPLE_RATE), SAMPLE_RATE)
    return path


def embeddings(classifier, *files):
    return [classifier.classify(one.samples).embedding for file in files for one in spoken(file)]


def by_baseline(classifier, file, value):
    """The scores of each utterance by one baseline."""
    return [classifier.classify(one.samples, value).scores for one in spoken(file)]


def by_company(classifier, file, company):
    return [recognise(classifier, one.samples, company).scores for one in spoken(file)]


def heard(classifier, *files):
    """The baseline of all that is said in some files."""
    trained = classifier.card.adaptation
    return Baseline.of(trained, embeddings(classifier, *files)).value(trained)


def said(done, code=0):
    """The scores of each utterance of each file."""
    assert (done.returncode, done.stderr if not code else "") == (code, "")
    found = [json.loads(line)["segments"] for line in done.stdout.splitlines()]
    return [[part["scores"] for part in parts] for parts in found]


def same(found, expected):
    """That the scores are these, as they are printed."""
    assert [len(one) for one in found] == [len(one) for one in expected]
    assert all(len(one) >= 4 for one in found if one)
    for one, other in zip(found, expected, strict=True):
        rows = [[list(scores.values()) for scores in side] for side in (one, other)]
        np.testing.assert_allclose(*rows, atol=2e-4)


@pytest.fixture
def classify(serd, model):
    def run(*words):
        return serd("classify", "--format", "jsonl", "--model", model, *AS_IT_IS, *words)

    return run


@pytest.mark.parametrize(
    ("choice", "jobs"),
    [
        *((None, 1), ("file", 2), ("none", 1), ("off", 2)),
        *(("all", 1), ("all", 2), ("running", 1), ("running", 2)),
    ],
)
def test_each_choice_of_a_baseline(classify, classifier, woman, man, silence, choice, jobs):
    files = [woman, silence, man, woman]
    if choice == "running":
        company = Company(classifier.card.adaptation)
        expected = [by_company(classifier, file, company) for file in files]
        assert len(company.voices) == 2
    elif choice == "all":
        expected = [by_baseline(classifier, file, heard(classifier, *files)) for file in files]
    elif choice in ("none", "off"):
        expected = [by_baseline(classifier, file, None) for file in files]
    else:
        expected = [by_baseline(classifier, file, heard(classifier, file)) for file in files]
    words = [] if choice is None else ["--baseline", choice]
    same(said(classify(*words, "--jobs", jobs, *files)), expected)


def test_the_choices_differ(classify, woman, man):
    found = {
        choice: said(classify("--baseline", choice, woman, man))
        for choice in ("none", "file", "all", "running")
    }
    assert len({json.dumps(one) for one in found.values()}) == 4
    assert found["running"][0][0] == found["none"][0][0]  # nobody has spoken yet


def test_what_cannot_be_read_changes_nothing_for_the_others(classify, woman, man, tmp_path):
    (tmp_path / "text.wav").write_text("This is no sound.\n" * 50)
    for choice in ("all", "running"):
        done = classify("--baseline", choice, woman, tmp_path / "text.wav", man)
        assert len(done.stderr.splitlines()) == 1
        assert said(done, code=1) == said(classify("--baseline", choice, woman, man))


def test_the_configuration_chooses_too_and_an_option_goes_before_it(classify, woman, tmp_path):
    path = tmp_path / "serd.toml"
    path.write_text("[adaptation]\nbaseline = 'none'\n")
    none = said(classify("--baseline", "none", woman))
    assert said(classify("--config", path, woman)) == none
    assert said(classify("--config", path, "--baseline", "file", woman)) != none


# Enrolment


@pytest.fixture
def enroll(serd, model, tmp_path):
    def run(*words):
        path = tmp_path / "as-it-is.toml"
        path.write_text("[denoise]\nmode = 'off'\n")
        return serd("enroll", *words, "--model", model, "--config", path)

    return run


def test_somebody_enrolled_is_who_speaks(enroll, classify, classifier, woman, man, state):
    done = enroll("anna", woman)
    assert (done.returncode, done.stderr) == (0, "")
    length = sum(one.end_s - one.start_s for one in spoken(woman))
    assert done.stdout == f"anna: {len(list(spoken(woman)))} utterances, {length:.1f} s\n"
    assert [path.name for path in (state / "voices").iterdir()] == ["anna.json"]
    (voice,) = json.loads((state / "voices" / "anna.json").read_text())["voices"]
    assert voice["mean"] == pytest.approx(np.mean(embeddings(classifier, woman), axis=0))
    trained = classifier.card.adaptation
    value = Baseline.model_validate(voice).value(trained)
    expected = [by_baseline(classifier, file, value) for file in (woman, man)]
    same(said(classify("--baseline", "anna", woman, man)), expected)


def test_who_is_enrolled_again_is_begun_anew(enroll, woman, man, state):
    enroll("anna", woman)
    enroll("anna", man)
    both = (state / "voices" / "anna.json").read_text()
    enroll("ben", man)
    assert (state / "voices" / "ben.json").read_text() == both


def test_bad_files_get_a_line_each_and_the_others_count(enroll, woman, tmp_path, state):
    (tmp_path / "text.wav").write_text("This is no sound.\n" * 50)
    bad = [tmp_path / "none.wav", tmp_path / "text.wav"]
    done = enroll("anna", bad[0], woman, bad[1])
    assert done.returncode == 1
    assert done.stdout.startswith("anna: 4 utterances, ")
    for line, path in zip(done.stderr.splitlines(), bad, strict=True):
        assert line.startswith(f"serd: {path}: ")
    assert (state / "voices" / "anna.json").is_file()


def test_where_nothing_is_said_nobody_is_made(enroll, woman, silence, state):
    done = enroll("anna", silence)
    one_line(done, 1, "anna: no speech")
    assert done.stdout == ""
    assert not (state / "voices").exists()
    enroll("anna", woman)
    kept = (state / "voices" / "anna.json").read_bytes()
    one_line(enroll("anna", silence), 1, "anna: no speech")
    assert (state / "voices" / "anna.json").read_bytes() == kept


@pytest.mark.parametrize("name", ["running", "../x"])
def test_a_bad_name_is_refused(enroll, woman, name):
    done = enroll(name, woman)
    one_line(done, 2, "not a name")
    assert done.stdout == ""


def test_a_model_without_a_baseline_gets_used_to_nobody(serd, woman, state):
    one_line(serd("enroll", "anna", woman, "--model", "cnn"), 2, "it gets used to nobody")
    assert not state.exists()


def test_what_cannot_be_kept_is_told(enroll, woman, state):
    state.parent.mkdir()
    state.touch()
    done = enroll("anna", woman)
    one_line(done, 2, f"{state}/voices/anna.json: ")
    assert done.stdout == ""


def test_who_is_unknown_is_told(enroll, serd, model, woman, state):
    for words in (("--model", model), ("--model", "cnn"), ()):
        done = serd("classify", "--baseline", "anna", *words, woman)
        one_line(done, 2, "anna: no such voice (there are: none)")
        assert done.stdout == ""
    one_line(serd("classify", "--baseline", "a b", woman), 2, "adaptation.baseline: ")
    enroll("anna", woman)
    done = serd("classify", "--baseline", "ben", "--model", model, woman)
    one_line(done, 2, "ben: no such voice (there are: anna)")
    (state / "voices" / "anna.json").write_text("{")
    done = serd("classify", "--baseline", "anna", "--model", model, woman)
    one_line(done, 2, f"{state}/voices/anna.json: Invalid JSON")


def test_a_model_without_a_baseline_says_the_same_by_each(enroll, serd, woman, man):
    enroll("anna", woman)
    each = ("none", "off", "file", "running", "all", "anna")
    words = ("classify", "--model", "cnn", *AS_IT_IS, "--jobs", "2")
    found = {serd(*words, "--baseline", choice, woman, man).stdout for choice in each}
    assert len(found) == 1
    assert len(found.pop().splitlines()) == 2


# The daemon


@pytest.fixture
def run(serd, model, tmp_path):
    """`serd run` over some files, one after the other at one source; their scores."""

    def once(*files, baseline=None, model=model):
        path = tmp_path / "serd.toml"
        chosen = f"[adaptation]\nbaseline = '{baseline}'\n" if baseline else ""
        path.write_text(f"model = '{model}'\n[denoise]\nmode = 'off'\n{chosen}")
        found = []
        for file in files:
            source = f"mic=file:{file}?speed=max"
            done = serd("run", "--config", path, "--once", "--broker", "none", "--source", source)
            assert (done.returncode, done.stderr) == (0, "")
            found.append([json.loads(line)["scores"] for line in done.stdout.splitlines()])
        return found

    return once


@pytest.mark.parametrize("choice", [None, "running"])
def test_a_daemon_gets_used_to_voices_and_a_restart_keeps_them(
    run, classifier, woman, man, state, choice
):
    company = Company(classifier.card.adaptation)
    files = [woman, man, woman]
    expected = [by_company(classifier, file, company) for file in files]
    same(run(*files, baseline=choice), expected)
    kept = json.loads((state / "baselines" / "mic.json").read_text())
    assert kept["sha256"] == classifier.card.sha256
    assert [tuple(voice["mean"]) for voice in kept["voices"]] == [
        pytest.approx(voice.mean) for voice in company.voices
    ]


@pytest.mark.parametrize("choice", ["none", "off"])
def test_a_daemon_that_gets_used_to_nobody_keeps_nothing(run, classifier, woman, state, choice):
    expected = [by_baseline(classifier, woman, None)]
    same(run(woman, baseline=choice), expected)
    assert not (state / "baselines").exists()


def test_a_daemon_for_one_voice(run, enroll, classifier, woman, man, state):
    enroll("anna", woman)
    voice = json.loads((state / "voices" / "anna.json").read_text())["voices"][0]
    value = Baseline.model_validate(voice).value(classifier.card.adaptation)
    same(run(man, baseline="anna"), [by_baseline(classifier, man, value)])
    assert not (state / "baselines").exists()


@pytest.mark.parametrize(
    ("choice", "said_"),
    [
        ("file", "adaptation.baseline: file: a daemon does not know"),
        ("all", "adaptation.baseline: all: a daemon does not know"),
        ("anna", "anna: no such voice"),
        ("a b", "adaptation.baseline: "),
    ],
)
def test_what_a_daemon_cannot_do_is_refused_at_the_start(serd, tmp_path, choice, said_):
    path = tmp_path / "serd.toml"
    path.write_text(f"[adaptation]\nbaseline = '{choice}'\n")
    for words in (("run", "--config"), ("config", "check")):
        done = serd(*words, path)
        one_line(done, 2, said_)
        assert done.stdout == ""


def test_a_check_tells_the_baseline(serd, tmp_path):
    path = tmp_path / "serd.toml"
    for chosen, said_ in (("", "running"), ("[adaptation]\nbaseline = 'off'\n", "off")):
        path.write_text(chosen)
        done = serd("config", "check", path)
        assert (done.returncode, done.stderr) == (0, "")
        assert f" Baseline: {said_}. " in done.stdout


def test_what_was_kept_of_another_model_is_told_and_begun_anew(serd, run, model, woman, state):
    fresh = run(woman)
    file = state / "baselines" / "mic.json"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps(kept | {"sha256": "0" * 64}))
    source = f"mic=file:{woman}?speed=max"
    done = serd("run", "--model", model, "--once", "--broker", "none", "--source", source)
    one_line(done, 0, f"{file}: made by another model, twofold-1; the voices of source mic begin")
    assert len(done.stdout.splitlines()) == len(fresh[0])
    assert json.loads(file.read_text())["sha256"] == kept["sha256"]


def test_a_signal_loses_no_voice(command, model, woman, state, tmp_path):
    talker = Talker(tmp_path / "talker", woman)
    words = [*command, "run", "--model", str(model), "--broker", "none"]
    with running(tmp_path / "run", [*words, "--source", f"cam={talker.spec}"]) as daemon:
        talker.speak()
        eventually(lambda: len(daemon.out) >= 3)
        assert not (state / "baselines").exists()  # it was not a minute ago that it began
        assert daemon.end(signal.SIGTERM) == 0
        assert daemon.err == ""
        heard_ = len(daemon.out)
    (voice,) = json.loads((state / "baselines" / "cam.json").read_text())["voices"]
    assert voice["weight"] == pytest.approx(sum(0.9**i for i in range(heard_)))
