import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serd.audio import SAMPLE_RATE, Floats
from training import channel

TIME = np.arange(SAMPLE_RATE) / SAMPLE_RATE


def tone(hertz: float) -> Floats:
    return (0.5 * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)


def level_db(samples: Floats) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=float)) + 1e-20))


def test_colours_are_smooth_and_differ() -> None:
    """Averaged over a third of an octave, neighbours are close and two noises are not."""
    rng = np.random.default_rng(0)
    edges = (200 * 2 ** (np.arange(16) / 3)).astype(int)
    levels = []
    for _ in range(8):
        spectrum = np.abs(np.fft.rfft(channel.coloured_noise(SAMPLE_RATE, rng))) ** 2
        bands = np.add.reduceat(spectrum, edges)[:-1] / np.diff(edges)
        levels.append(10 * np.log10(bands / bands.mean()))
    assert np.abs(np.diff(levels, axis=1)).max() < 10
    assert np.std(levels, axis=0).mean() > 2


def test_another_microphone_changes_the_colour_and_nothing_else() -> None:
    click = np.eye(1, 4000, 2000, dtype=np.float32)[0]
    one, other = (
        channel.through_another_microphone(click, np.random.default_rng(seed)) for seed in (1, 2)
    )
    assert one.dtype == np.float32
    assert np.abs(one).argmax() == np.abs(other).argmax() == 2000
    levels = [20 * np.log10(np.abs(np.fft.rfft(heard))[1:]) for heard in (one, other)]
    assert all(5 < np.ptp(own) < 40 for own in levels)
    assert np.abs(levels[0] - levels[1]).max() > 3


@given(level_dbfs=st.floats(-90, -20), seed=st.integers(0, 100), length=st.integers(1, 5000))
def test_a_recorders_noise_is_as_loud_as_asked_for(
    level_dbfs: float, seed: int, length: int
) -> None:
    silence = np.zeros(length, np.float32)
    noise = channel.with_floor(silence, level_dbfs, np.random.default_rng(seed))
    assert noise.dtype == np.float32
    assert level_db(noise) == pytest.approx(level_dbfs, abs=0.01)


@pytest.mark.parametrize(
    ("hertz", "change_db"), [(300, 0), (1000, 0), (3400, 0), (250, -6), (3700, -6)]
)
def test_a_telephone_passes_its_band(hertz: float, change_db: float) -> None:
    heard = channel.telephone(tone(hertz))[1000:-1000]
    assert level_db(heard) - level_db(tone(hertz)) == pytest.approx(change_db, abs=0.1)


@pytest.mark.parametrize("hertz", [50, 150, 4050, 6000])
def test_a_telephone_passes_nothing_else(hertz: float) -> None:
    assert level_db(channel.telephone(tone(hertz))[1000:-1000]) < -70


@given(length=st.integers(1, 5000), place=st.floats(0, 0.999))
def test_a_telephone_moves_nothing(length: int, place: float) -> None:
    click = np.zeros(length, np.float32)
    click[int(place * length)] = 1
    heard = channel.telephone(click)
    assert (heard.dtype, heard.shape) == (np.float32, click.shape)
    assert np.abs(heard).argmax() == int(place * length)


def test_the_beginning_is_not_heard_at_the_end() -> None:
    click = np.eye(1, 4000, 3, dtype=np.float32)[0]
    assert np.abs(channel.telephone(click)[1000:]).max() < 1e-3
