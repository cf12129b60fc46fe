"""The denoiser that is published, on sound of every kind."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serd import audio, bundle, denoiser
from serd.audio import float_to_pcm, pcm_to_float
from training.denoising.quality import si_sdr

DEMO = Path(__file__).parents[1] / "demo"
FULL = np.int16(32_767)
SQUARE = np.where(np.arange(20_000) // 40 % 2, FULL, -FULL).astype(np.int16)
SOUNDS = st.integers(0, 40_000).flatmap(
    lambda size: st.one_of(
        arrays(np.int16, size),
        st.integers(0, 2**32 - 1).map(
            lambda seed: np.random.default_rng(seed).integers(-32_768, 32_768, size, np.int16)
        ),
    )
)


@pytest.fixture(scope="module")
def own():
    return denoiser.load(bundle.find("denoiser"))


@pytest.fixture(scope="module")
def speech():
    return audio.read(DEMO / "woman.flac")[:64_000]


def white(length):
    return np.random.default_rng(0).normal(0, 1, length).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(sound=SOUNDS, chunk=st.integers(1, 9000))
@example(sound=SQUARE, chunk=17)
@example(sound=SQUARE // 4 + np.int16(20_000), chunk=480)
@example(sound=np.full(20_000, -32_768, np.int16), chunk=20_000)
def test_any_sound_comes_out_as_long_no_louder_and_the_same_in_pieces(own, sound, chunk):
    whole = own(sound)
    assert whole.dtype == np.int16
    assert whole.size == sound.size
    power_before, power_after = (np.square(x.astype(float)).sum() for x in (sound, whole))
    assert power_after <= 1.01 * power_before + sound.size
    stream = own.stream()
    pieces = [stream.feed(sound[i : i + chunk]) for i in range(0, sound.size, chunk)]
    assert np.array_equal(np.concatenate([*pieces, stream.flush()]), whole)


def test_silence_stays_silent(own):
    assert not own(np.zeros(50_000, np.int16)).any()


def test_speech_comes_out_of_noise(own, speech):
    clean = pcm_to_float(speech)
    noisy = clean + clean.std() * white(clean.size)
    made = pcm_to_float(own(float_to_pcm(noisy / 4)))
    assert si_sdr(clean, made) > si_sdr(clean, noisy) + 5


def test_clipping_spoils_nothing_more(own, speech):
    clipped = np.clip(340.0 * speech, -FULL, FULL).astype(np.int16)
    assert (np.abs(clipped) == FULL).mean() > 0.1
    assert si_sdr(pcm_to_float(clipped), pcm_to_float(own(clipped))) > 10


def test_a_constant_offset_costs_next_to_nothing(own, speech):
    offset = np.int16(300)
    assert offset > 3 * speech.std()
    plain, shifted = own(speech), own(speech + offset)
    assert si_sdr(pcm_to_float(plain), pcm_to_float(shifted)) > 20
