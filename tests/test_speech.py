import pytest
import soundfile

from serd import speech
from serd.audio import SAMPLE_RATE, AudioError

from .adaptive import spoken


@pytest.mark.parametrize(("kept_s", "read_times"), [(0, 2), (120, 1)])
def test_the_same_is_said_however_often_it_is_asked_for(woman, monkeypatch, kept_s, read_times):
    times = []
    read = speech.read_blocks
    monkeypatch.setattr(speech, "_KEPT_S", kept_s)
    monkeypatch.setattr(speech, "read_blocks", lambda path: times.append(path) or read(path))
    said = spoken(woman)
    first, second = list(said), list(said)
    assert len(times) == read_times
    assert len(first) >= 4
    assert said.duration_s == soundfile.info(woman).frames / SAMPLE_RATE
    for one, same in zip(first, second, strict=True):
        assert (one.start_s, one.end_s) == (same.start_s, same.end_s)
        assert (one.samples == same.samples).all()


def test_what_was_not_asked_for_to_the_end_is_not_kept_in_part(woman):
    said = spoken(woman)
    next(iter(said))
    assert len(list(said)) >= 4


def test_what_is_no_sound_is_told_each_time(tmp_path):
    said = spoken(tmp_path / "none.wav")
    for _ in range(2):
        with pytest.raises(AudioError, match="no such file"):
            list(said)
