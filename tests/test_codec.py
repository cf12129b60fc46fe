import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from serd.audio import SAMPLE_RATE, Floats
from training import channel, codec
from training.codec import MU_LAW, Codec, CodecError, mp3, opus, vorbis

SOME = [MU_LAW, *map(mp3, (16, 24, 32, 40, 64, 96, 160)), *map(vorbis, (0, 0.5, 1))]
SOME += map(opus, (8, 16, 40, 128))
NAMES = [f"{c.subtype} {c.compression}" for c in SOME]


def sweep(length: int) -> Floats:
    """From 400 to 3000 Hz."""
    t = np.arange(length) / SAMPLE_RATE
    phase = 2 * np.pi * (400 * t + 1300 * t**2 / max(t[-1], 1e-3))
    return (0.5 * np.sin(phase)).astype(np.float32)


def delay(before: Floats, after: Floats) -> int:
    """By how many samples what is heard comes later."""
    likeness = np.fft.irfft(
        np.fft.rfft(after, 2 * before.size) * np.fft.rfft(before, 2 * before.size).conj()
    )
    late = int(likeness.argmax())
    return late if late < before.size else late - 2 * before.size


@pytest.mark.parametrize("coded", SOME, ids=NAMES)
def test_sound_stays_in_its_place(coded: Codec) -> None:
    x = sweep(12_345)
    heard = coded(x)
    assert (heard.dtype, heard.shape) == (np.float32, x.shape)
    assert delay(x, heard) == 0
    assert np.corrcoef(x, heard)[0, 1] > 0.9
    tail = slice(-1500, None)  # whatever was delayed was not lost
    assert np.linalg.norm(heard[tail]) > 0.7 * np.linalg.norm(x[tail])
    assert np.array_equal(heard, coded(x))


@settings(max_examples=30)
@given(which=st.integers(0, len(SOME) - 1), length=st.integers(1, 3000), silent=st.booleans())
def test_any_length_stays_as_it_is(which: int, length: int, silent: bool) -> None:
    heard = SOME[which]((0 if silent else 1) * sweep(length))
    assert (heard.dtype, heard.shape) == (np.float32, (length,))
    assert np.isfinite(heard).all()
    assert not silent or np.abs(heard).max() < 1e-3


@pytest.mark.parametrize("coded", SOME, ids=NAMES)
def test_what_is_too_loud_is_not_clipped(coded: Codec) -> None:
    loud = 8 * sweep(8000)
    assert np.abs(loud).max() == pytest.approx(4, rel=0.01)
    assert np.corrcoef(loud, coded(loud))[0, 1] > 0.9
    assert np.linalg.norm(coded(loud)) == pytest.approx(np.linalg.norm(loud), rel=0.1)


def test_the_bitrate_is_that_asked_for() -> None:
    x = (0.1 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE)).astype(np.float32)
    for kbit_s, of in ((32, mp3), (64, mp3), (16, opus), (32, opus)):
        spent = of(kbit_s)._encoded(x).getbuffer().nbytes * 8 / 3000
        assert spent == pytest.approx(kbit_s, rel=0.25)


def test_fewer_bits_are_worse() -> None:
    x = (0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)).astype(np.float32)
    for rates in (map(mp3, (24, 40, 96)), map(opus, (8, 24, 128)), map(vorbis, (1, 0.5, 0))):
        errors = [np.linalg.norm(coded(x) - x) for coded in rates]
        assert errors == sorted(errors, reverse=True)


def test_mu_law_is_a_telephone_of_eight_bits() -> None:
    x = sweep(SAMPLE_RATE)
    error = MU_LAW(x) - channel.telephone(x)
    assert 30 < 10 * np.log10(np.mean(x**2) / np.mean(error**2)) < 45  # G.711 has about 38 dB
    rush = (0.1 * np.random.default_rng(0).standard_normal(x.size)).astype(np.float32)
    levels = np.abs(np.fft.rfft(MU_LAW(rush) * np.hanning(x.size)))
    assert levels[4010:].max() < 1e-3 * levels[:4000].max()


def test_bitrates_are_drawn() -> None:
    rng = np.random.default_rng(0)
    for name, few in (("mp3", 4), ("vorbis", 20), ("opus", 20)):
        assert len({codec.some(name, rng).compression for _ in range(30)}) >= few
    assert codec.some("mu-law", rng) == MU_LAW


def test_a_codec_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    codec.check(["mp3", "opus"])
    monkeypatch.setattr(soundfile, "check_format", lambda _, subtype: subtype != "OPUS")
    codec.check(["mp3"])
    with pytest.raises(CodecError, match=r"^opus: libsndfile \S+ has no such codec"):
        codec.check(["mp3", "opus"])
