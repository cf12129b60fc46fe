import os
from pathlib import Path

import numpy as np
import pytest

from serd.audio import SAMPLE_RATE, Framer, Pcm, read
from serd.vad import WebrtcVad

FRAME_MS = (10, 20, 30)


def vowel(seconds: float) -> Pcm:
    """A buzz of 120 Hz with the overtones of an open vowel."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    overtones = np.arange(1, 30)[:, None] * 120
    gains = sum(np.exp(-(((overtones - formant) / 150) ** 2)) for formant in (700, 1200, 2600))
    buzz = (gains * np.sin(2 * np.pi * overtones * time)).sum(axis=0)
    return (buzz / np.abs(buzz).max() * 10_000).astype(np.int16)


def judge(sound: Pcm, frame_ms: int, aggressiveness: int = 2) -> list[bool]:
    frame_samples = SAMPLE_RATE * frame_ms // 1000
    vad = WebrtcVad(aggressiveness, frame_samples)
    return [vad.is_speech(frame) for frame in Framer(frame_samples).feed(sound)]


@pytest.mark.parametrize("frame_ms", FRAME_MS)
def test_silence_is_not_speech(frame_ms):
    assert not any(judge(np.zeros(SAMPLE_RATE, np.int16), frame_ms))


@pytest.mark.parametrize("frame_ms", FRAME_MS)
def test_a_vowel_is_speech(frame_ms):
    assert np.mean(judge(vowel(1), frame_ms)) > 0.8


def test_more_aggressive_lets_less_through():
    rng = np.random.default_rng(0)
    quiet = (rng.standard_normal(5 * SAMPLE_RATE) * 200).astype(np.int16)
    shares = [np.mean(judge(quiet + vowel(5) // 50, 30, level)) for level in range(4)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[3]


def test_a_short_last_frame_is_filled_up_with_silence():
    short = vowel(0.02)
    filled = np.pad(short, (0, 480 - short.size))
    assert WebrtcVad(0, 480).is_speech(short) == WebrtcVad(0, 480).is_speech(filled)
    assert not WebrtcVad(0, 480).is_speech(np.zeros(1, np.int16))


def test_detectors_of_different_streams_do_not_disturb_each_other():
    one, other = WebrtcVad(2, 480), WebrtcVad(2, 480)
    together = []
    rng = np.random.default_rng(0)
    speech = np.append(np.zeros(8_000, np.int16), vowel(0.5))
    for frame in Framer(480).feed(speech):
        together.append(one.is_speech(frame))
        other.is_speech(rng.integers(-20_000, 20_000, 480).astype(np.int16))
    assert together == judge(speech, 30)


def test_an_impossible_aggressiveness_is_refused():
    with pytest.raises(ValueError, match="mode"):
        WebrtcVad(4, 480)


def test_real_meetings_are_told_from_their_pauses():
    data = os.environ.get("SERD_DATA")
    recordings = sorted(Path(data).glob("vad/*.flac")) if data else []
    if not recordings:
        pytest.skip("SERD_DATA is not set, or has no vad/*.flac")
    hits = found = true = 0
    for recording in recordings:
        judged = np.array(judge(read(recording), 30))
        spoken = np.zeros(judged.size, bool)
        for line in recording.with_suffix(".rttm").read_text("utf-8").splitlines():
            start, length = map(float, line.split()[3:5])
            spoken[round(start / 0.03) : round((start + length) / 0.03)] = True
        hits, found = hits + int((judged & spoken).sum()), found + int(judged.sum())
        true += int(spoken.sum())
    assert hits / found > 0.75
    assert hits / true > 0.8
