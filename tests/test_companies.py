"""What a daemon keeps of voices, and what becomes of files that are no good."""

import json
import logging
import os

import numpy as np
import pytest

from serd import voices
from serd.baseline import Baseline
from serd.companies import Companies
from serd.settings import Settings, SettingsError
from serd.voices import VoicesError

from .test_classifier import adapting, framed

CARD = adapting([(0, 0)])[1].card
PLAIN = framed()[1].card
OTHER = CARD.model_copy(update={"sha256": "1" * 64, "version": "0.9"})


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def settings(tmp_path):
    return Settings(state_dir=tmp_path / "state", sources={"mic": "default", "cam": "hw:1,0"})


@pytest.fixture
def file(settings):
    return voices.heard(settings) / "mic.json"


def fixed(settings, choice):
    return Settings.model_validate(settings.model_dump() | {"adaptation": {"baseline": choice}})


def speak(companies, *places, source="mic"):
    company = companies.speakers[source]
    for place in places:
        embedding = np.array([place, 0.1], np.float32)
        company.add(company.who(embedding), embedding)
    return company.voices


def test_a_restart_goes_on_with_the_same_voices(settings):
    before = Companies(settings, CARD)
    said = speak(before, 1, 1.5, 60, 61)
    other = speak(before, 3, source="cam")
    assert len(said) == 2
    before.save(at_end=True)
    again = Companies(settings, CARD)
    assert again.speakers["mic"].voices == said
    assert again.speakers["cam"].voices == other


def test_it_is_written_at_most_once_a_minute_and_only_what_is_new(settings, file):
    clock = Clock()
    companies = Companies(settings, CARD, clock)
    speak(companies, 1)
    clock.now += 59
    companies.save()
    assert not file.exists()
    clock.now += 1
    companies.save()
    first = file.read_text()
    speak(companies, 2)
    clock.now += 59
    companies.save()
    assert file.read_text() == first
    clock.now += 1
    companies.save()
    assert file.read_text() != first
    file.unlink()
    clock.now += 1_000
    companies.save(at_end=True)
    assert not file.exists()  # nothing was said since
    assert not (file.parent / "cam.json").exists()  # nor ever there
    speak(companies, 3)
    companies.save(at_end=True)
    assert len(json.loads(file.read_text())["voices"]) == 1


def test_nothing_else_lies_beside_the_files(settings, file):
    companies = Companies(settings, CARD)
    for place in range(3):
        speak(companies, place)
        companies.save(at_end=True)
    assert [path.name for path in file.parent.iterdir()] == ["mic.json"]


def test_nobody_else_may_read_them(settings, file):
    companies = Companies(settings, CARD)
    speak(companies, 1)
    umask = os.umask(0o022)
    try:
        companies.save(at_end=True)
    finally:
        os.umask(umask)
    modes = [one.stat().st_mode & 0o777 for one in (settings.state_dir, file.parent, file)]
    assert modes == [0o700, 0o700, 0o600]


def replaced(file, **changed):
    return json.dumps(json.loads(file.read_text()) | changed)


VOICE = {"weight": 2, "mean": [1, 2], "silent": 0}


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (lambda _: "", "Invalid JSON"),
        (lambda file: file.read_text()[:-20], "Invalid JSON"),
        (lambda file: file.read_bytes() + b"\xff", "Invalid JSON"),
        (lambda _: "[" * 100_000, "Invalid JSON"),
        (lambda _: "[]", ""),
        (lambda file: replaced(file, sha256="1" * 64), "made by another model, spy-1"),
        (lambda file: replaced(file, colour="red"), "colour: unknown key"),
        (lambda file: replaced(file, voices=[VOICE | {"mean": [1]}]), "not of the model's size"),
        (lambda file: replaced(file, voices=[VOICE | {"weight": -1}]), "voices.0.weight"),
        (lambda file: replaced(file, voices=[VOICE | {"mean": [1, "NaN"]}]), "voices.0.mean.1"),
    ],
)
def test_what_is_damaged_is_told_once_and_begun_anew(settings, file, caplog, damaged, said):
    companies = Companies(settings, CARD)
    speak(companies, 1)
    companies.save(at_end=True)
    content = damaged(file)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    again = Companies(settings, CARD)
    assert again.speakers["mic"].voices == ()
    (told,) = caplog.messages
    assert told.startswith(f"{file}: ")
    assert said in told
    assert told.endswith("; the voices of source mic begin anew")
    assert "\n" not in told
    speak(again, 5)
    again.save(at_end=True)
    caplog.clear()
    assert Companies(settings, CARD).speakers["mic"].voices == again.speakers["mic"].voices
    assert caplog.messages == []


def test_a_folder_that_cannot_be_written_is_told_once(settings, caplog):
    clock = Clock()
    settings.state_dir.touch()  # no folder
    companies = Companies(settings, CARD, clock)
    for minute in range(3):
        speak(companies, minute)
        speak(companies, minute, source="cam")
        clock.now += 60
        companies.save()
    companies.save(at_end=True)
    (told,) = caplog.record_tuples
    assert told[1] == logging.ERROR
    assert told[2].endswith("mic.json: not a directory; voices are kept in memory only")
    assert companies.speakers["mic"].voices[0].weight > 2
    settings.state_dir.unlink()
    companies.save(at_end=True)
    kept = Companies(settings, CARD)
    assert kept.speakers["mic"].voices == companies.speakers["mic"].voices


@pytest.mark.parametrize("choice", ["none", "off"])
def test_where_nobody_is_got_used_to_nothing_is_kept(settings, file, choice):
    running = Companies(settings, CARD)
    speak(running, 1)
    running.save(at_end=True)
    kept = file.read_bytes()
    companies = Companies(fixed(settings, choice), CARD)
    assert companies.speakers == {"mic": None, "cam": None}
    companies.save(at_end=True)
    assert file.read_bytes() == kept


def test_a_model_without_a_baseline_keeps_nothing(settings):
    companies = Companies(settings, PLAIN)
    assert companies.speakers == {"mic": None, "cam": None}
    companies.save(at_end=True)
    assert not settings.state_dir.exists()


def test_somebody_enrolled_is_everywhere_and_stays_as_they_are(settings):
    anna = Baseline.of(CARD.adaptation, [np.array([4.0, 6.0])] * 2)
    voices.write(voices.file_of("anna", settings), CARD, [anna])
    companies = Companies(fixed(settings, "anna"), CARD)
    for source in settings.sources:
        assert companies.speakers[source].tolist() == [5.5, 2.5]  # half the training mean
    companies.save(at_end=True)
    assert not voices.heard(settings).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_who_root_enrols_is_the_service_s_to_read(settings):
    settings.state_dir.mkdir()
    os.chown(settings.state_dir, 61_234, 61_235)  # as systemd does for a user of its making
    file = voices.file_of("anna", settings)
    for _ in range(2):
        voices.write(file, CARD, [])
        for path in (file.parent, file):
            assert (path.stat().st_uid, path.stat().st_gid) == (61_234, 61_235)


@pytest.mark.parametrize("card", [CARD, PLAIN])
def test_who_is_not_enrolled_is_told_with_who_is(settings, card):
    with pytest.raises(VoicesError, match=r"^anna: no such voice \(there are: none\)"):
        Companies(fixed(settings, "anna"), card)
    for name in ("zoe", "bob"):
        voices.write(voices.file_of(name, settings), CARD, [])
    with pytest.raises(VoicesError, match=r"^anna: no such voice \(there are: bob, zoe\)"):
        Companies(fixed(settings, "anna"), card)


def test_somebody_enrolled_with_another_model_is_refused(settings):
    anna = Baseline.of(CARD.adaptation, [np.zeros(2)])
    voices.write(voices.file_of("anna", settings), OTHER, [anna])
    with pytest.raises(VoicesError, match=r"anna\.json: made by another model, spy-0\.9"):
        Companies(fixed(settings, "anna"), CARD)
    assert Companies(fixed(settings, "anna"), PLAIN).speakers["mic"] is None


def test_a_named_file_of_several_voices_is_nobody(settings):
    voices.write(voices.file_of("anna", settings), CARD, [])
    with pytest.raises(VoicesError, match=r"anna\.json: not one voice"):
        Companies(fixed(settings, "anna"), CARD)


@pytest.mark.parametrize("choice", ["file", "all"])
def test_a_daemon_does_not_know_what_will_be_said(settings, choice):
    with pytest.raises(SettingsError, match=rf"^adaptation\.baseline: {choice}: a daemon"):
        Companies(fixed(settings, choice), CARD)


@pytest.mark.parametrize(
    "name", ["none", "off", "file", "running", "all", "", "a b", "a/b", "..", "ä", "x" * 65]
)
def test_not_everything_is_a_name(settings, name):
    with pytest.raises(VoicesError, match="not a name"):
        voices.file_of(name, settings)
