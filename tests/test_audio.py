import os
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serd.audio import (
    SAMPLE_RATE,
    AudioError,
    Floats,
    Pcm,
    Resampler,
    float_to_pcm,
    pcm_to_float,
    read,
    read_blocks,
)


def tone(seconds: float, sample_rate: int, hz: float = 440) -> Floats:
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    return (0.3 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def noise(samples: int, channels: int | None = None) -> Floats:
    shape = samples if channels is None else (samples, channels)
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


# Conversions


@given(arrays(np.int16, st.integers(0, 50)))
def test_every_pcm_value_survives_the_way_through_floats(pcm):
    floats = pcm_to_float(pcm)
    assert floats.dtype == np.float32
    assert np.all(np.abs(floats) <= 1)
    np.testing.assert_array_equal(float_to_pcm(floats), pcm)


@given(arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32)))
def test_any_float_becomes_pcm_within_half_a_step_of_its_clipped_value(floats):
    with np.errstate(over="ignore"):
        pcm = float_to_pcm(floats)
    assert pcm.dtype == np.int16
    numbers = np.nan_to_num(floats.astype(np.float64), posinf=1, neginf=-1)
    wanted = np.clip(numbers * 32_768, -32_768, 32_767)
    assert np.all(np.abs(pcm - wanted) <= 0.5)


# Resampling


def resample(samples: Floats, sample_rate: int, sizes: list[int]) -> Pcm:
    resampler = Resampler(sample_rate)
    edges = np.cumsum(np.resize(sizes, 1 + len(samples) // min(sizes)))
    parts = np.split(samples, edges[edges < len(samples)])
    return np.concatenate([*(resampler.feed(part) for part in parts), resampler.flush()])


@settings(max_examples=20)
@given(
    st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000, 96_000]),
    st.lists(st.integers(5, 5000), min_size=1, max_size=5),
)
def test_chunking_changes_no_sample(sample_rate, sizes):
    sound = noise(sample_rate // 2)
    np.testing.assert_array_equal(
        resample(sound, sample_rate, sizes), resample(sound, sample_rate, [10**6])
    )


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_a_tone_keeps_its_pitch_level_and_place(sample_rate):
    resampled = pcm_to_float(resample(tone(1, sample_rate), sample_rate, [512]))
    assert abs(resampled.size - SAMPLE_RATE) <= 1
    inner = slice(800, 15_200)  # away from the edges, where the filter rings
    np.testing.assert_allclose(resampled[inner], tone(1, SAMPLE_RATE)[inner], atol=1e-3)


def test_what_16_khz_cannot_carry_is_filtered_out():
    resampled = resample(tone(1, 48_000, hz=12_000), 48_000, [512])
    assert np.abs(resampled[800:15_200]).max() <= 3


def test_channels_are_averaged():
    stereo = noise(1000, channels=2)
    np.testing.assert_array_equal(
        Resampler(SAMPLE_RATE).feed(stereo), float_to_pcm(stereo.mean(axis=1))
    )
    opposite = np.stack([tone(1, 48_000), -tone(1, 48_000)], axis=1)
    assert not resample(opposite, 48_000, [512]).any()


# Files


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_formats(tmp_path, suffix):
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(1, SAMPLE_RATE), SAMPLE_RATE)
    samples = pcm_to_float(read(path))
    assert abs(samples.size - SAMPLE_RATE) <= 2500  # lossy formats pad
    assert np.abs(np.fft.rfft(samples[:SAMPLE_RATE], SAMPLE_RATE)).argmax() == 440
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.02)


def test_the_content_counts_and_not_the_name(tmp_path):
    path = tmp_path / "a.mp3"
    soundfile.write(path, tone(1, SAMPLE_RATE), SAMPLE_RATE, format="FLAC")
    assert read(path).size == SAMPLE_RATE


@pytest.mark.parametrize("block_samples", [17, 509, 4096, 10**9])
def test_blocks_add_up_to_the_file(tmp_path, block_samples):
    path = tmp_path / "noise.wav"
    soundfile.write(path, noise(44_100, channels=2), 44_100)
    blocks = list(read_blocks(path, block_samples))
    np.testing.assert_array_equal(np.concatenate(blocks), read(path))


def test_a_long_file_is_never_held_whole(tmp_path):
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 48_000, 1) as file:
        for _ in range(600):
            file.write(np.zeros(48_000, np.int16))
    sizes = [block.size for block in read_blocks(path)]
    assert max(sizes) <= SAMPLE_RATE
    assert abs(sum(sizes) - 600 * SAMPLE_RATE) <= 1


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    blocks = read_blocks(tmp_path / "missing.wav")
    with pytest.raises(AudioError):
        next(blocks)


def failure(path: Path) -> str:
    """Why it cannot be read, checked to be one line that does not repeat the file's name."""
    with pytest.raises(AudioError) as error:
        read(path)
    message = str(error.value)
    assert message
    assert "\n" not in message
    assert path.name not in message
    return message


def test_a_directory(tmp_path):
    assert failure(tmp_path) == "is a directory"


def test_a_missing_file(tmp_path):
    assert failure(tmp_path / "missing.wav") == "no such file or directory"


def test_a_file_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    assert failure(tmp_path / "file" / "a.wav") == "not a directory"


def test_an_empty_file(tmp_path):
    path = tmp_path / "a.wav"
    path.touch()
    assert failure(path) == "is empty"


@pytest.mark.parametrize("content", [b"\x00", b"not audio at all\n" * 500, b"RIFF", b"fLaC"])
def test_what_is_not_sound(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert failure(path).startswith("not readable as sound")


def test_an_unreadable_file(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1, SAMPLE_RATE), SAMPLE_RATE)
    path.chmod(0)
    assert failure(path)


def wav(tmp_path: Path) -> tuple[Path, bytes]:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(1, SAMPLE_RATE), SAMPLE_RATE)
    return path, path.read_bytes()


@pytest.mark.parametrize("kept", [44, 45, 46, 1044, 20_044])
def test_a_truncated_wav_gives_what_is_there(tmp_path, kept):
    path, content = wav(tmp_path)
    whole = read(path)
    path.write_bytes(content[:kept])
    np.testing.assert_array_equal(read(path), whole[: (kept - 44) // 2])


@pytest.mark.parametrize("kept", [1, 11, 20, 35])
def test_a_wav_cut_in_its_header(tmp_path, kept):
    path, content = wav(tmp_path)
    path.write_bytes(content[:kept])
    assert failure(path)


def test_a_wav_that_claims_more_than_it_holds(tmp_path):
    path, content = wav(tmp_path)
    whole = read(path)
    path.write_bytes(content[:40] + struct.pack("<I", 2**31) + content[44:])
    np.testing.assert_array_equal(read(path), whole)


def test_a_truncated_flac_never_gives_wrong_samples(tmp_path):
    path = tmp_path / "noise.flac"
    soundfile.write(path, noise(SAMPLE_RATE), SAMPLE_RATE)
    whole = read(path)
    path.write_bytes(path.read_bytes()[:15_000])
    got: list[Pcm] = []
    with suppress(AudioError):
        got.extend(read_blocks(path, 1000))
    start = np.concatenate([*got, np.zeros(0, np.int16)])
    assert start.size < whole.size
    np.testing.assert_array_equal(start, whole[: start.size])


def test_no_frames_at_all(tmp_path):
    for sample_rate in (8_000, SAMPLE_RATE):
        path = tmp_path / f"{sample_rate}.wav"
        soundfile.write(path, np.zeros(0), sample_rate)
        assert read(path).size == 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_stereo_floats_with_what_is_not_a_number(tmp_path):
    """They spoil no more than 0.2 s around them."""
    sound = np.stack([tone(2, 8_000)] * 2, axis=1)
    clean, spoilt = tmp_path / "clean.wav", tmp_path / "spoilt.wav"
    soundfile.write(clean, sound, 8_000, subtype="FLOAT")
    sound[4_000] = np.nan
    sound[4_001, 0] = np.inf
    sound[4_002] = -np.inf
    sound[4_003] = np.inf, -np.inf
    soundfile.write(spoilt, sound, 8_000, subtype="FLOAT")
    wanted, got = read(clean), read(spoilt)
    assert got.size == wanted.size
    away = np.abs(np.arange(got.size) - 8_000) > 0.2 * SAMPLE_RATE
    np.testing.assert_array_equal(got[away], wanted[away])
