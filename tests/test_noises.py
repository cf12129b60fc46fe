from pathlib import Path

import numpy as np
import pytest
import soundfile

from serd.audio import SAMPLE_RATE, pcm_to_float
from training import noises
from training.noises import NoiseError

TONE = (0.5 * np.cos(np.arange(16_000) / 6)).astype(np.float32)


def test_kinds_are_folders_or_file_names(tmp_path: Path) -> None:
    names = ("rain/b.wav", "rain/a.wav", "rain/._a.wav", "person_sneeze/a.wav", "tap.wav", "README")
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = noises.files(tmp_path, noises.VOICES)
    assert {kind: [path.name for path in paths] for kind, paths in found.items()} == {
        "rain": ["a.wav", "b.wav"],
        "tap": ["tap.wav"],
    }
    assert "person_sneeze" in noises.files(tmp_path, without=())


def test_recordings_lose_the_silence_around_them(tmp_path: Path) -> None:
    padded = np.concatenate([np.zeros(5000), TONE, np.zeros(700)]).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", padded, SAMPLE_RATE)
    [kept] = noises.recordings(tmp_path)["a"]
    assert kept.size == TONE.size
    assert np.allclose(pcm_to_float(kept), TONE, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "said"), [(b"RIFF", "not readable"), (None, "is silent"), (b"", "is empty")]
)
def test_a_bad_recording_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "bad.wav"
    if content is None:
        soundfile.write(path, np.zeros(100), SAMPLE_RATE)
    else:
        path.write_bytes(content)
    for read in (noises.recordings, noises.rooms):
        with pytest.raises(NoiseError, match=rf"bad\.wav: .*{said}") as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)


def test_a_room_begins_with_the_direct_sound_even_if_a_reflection_is_stronger() -> None:
    measured = np.zeros(500, np.float32)
    measured[[10, 37, 60, 400]] = 0.01, 0.3, 1, 0.001
    response = noises.impulse_response(measured)
    assert response[0] / response[23] == pytest.approx(0.3)
    assert response.size == 24
    assert np.vdot(response, response) == pytest.approx(1)


def test_real_recordings_have_no_voices_and_rooms_begin_at_once(data: Path) -> None:
    for folder in ("noise/esc10", "noise/speech_commands"):
        assert not noises.VOICES & set(noises.recordings(data / folder))
    for response in noises.rooms(data / "rir").values():
        assert abs(response[0]) >= 0.099 * np.abs(response).max()
        assert np.vdot(response, response) == pytest.approx(1, rel=1e-3)
