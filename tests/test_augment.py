from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from serd import bundle, denoiser
from serd.audio import SAMPLE_RATE, Floats
from training import augment, noises
from training.augment import Augmentation, Augmenter, power
from training.noises import NoiseError

from .test_denoiser import everything, made, nothing

NOWHERE = Path("nowhere")
TIME = np.arange(SAMPLE_RATE) / SAMPLE_RATE
SOUND = (
    0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE) * np.hanning(SAMPLE_RATE)
).astype(np.float32)
EVERYTHING = Augmentation(
    speed=0.1, room_share=0.5, noise_snr_db=(0, 20), noise=("hum",), gain_db=12, shift_ms=300
)

RECORDER = Augmentation(
    colour_share=0.5,
    floor_share=0.5,
    floor_dbfs=(-60, -40),
    band_share=0.3,
    codec_share=0.9,
    codecs=("mu-law", "mp3", "vorbis", "opus"),
)

seeds = st.integers(0, 1000)


def tone(hertz: float) -> Floats:
    return (0.5 * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)


def varied(options: Augmentation, samples: Floats, seed: int, data: Path = NOWHERE) -> Floats:
    return Augmenter(options, data)(samples, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: two kinds of hum, and a room with one reflection after 10 ms."""
    data = tmp_path_factory.mktemp("data")
    for kind, hertz in {"hum/low": 100, "hum/high": 3000, "hum/baby_cry": 1000}.items():
        (data / kind).mkdir(parents=True)
        soundfile.write(data / kind / "a.wav", tone(hertz), SAMPLE_RATE)
    (data / "rir").mkdir()
    response = np.zeros(400, np.float32)
    response[[37, 197]] = 0.5, -0.25
    soundfile.write(data / "rir" / "box.flac", response, SAMPLE_RATE)
    return data


def test_nothing_switched_on_changes_nothing() -> None:
    assert np.array_equal(varied(Augmentation(), SOUND, 0), SOUND)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gain_db": -1},
        {"gain_db": float("inf")},
        {"speed": 0.5},
        {"room_share": 1.1},
        {"noise_snr_db": (20, 10)},
        {"noise_snr_db": (10, float("nan"))},
        {"pitch": 1},
        {"denoised_share": 0.5},
        {"floor_dbfs": (-50, -60)},
        {"codecs": ()},
        {"codecs": ("mp4",)},
    ],
)
def test_options_without_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate(wrong)


@given(seed=seeds, gain_db=st.floats(0.1, 12))
def test_gain_is_one_factor_in_its_range(seed: int, gain_db: float) -> None:
    louder = varied(Augmentation(gain_db=gain_db), SOUND, seed)
    factor = np.sqrt(power(louder) / power(SOUND))
    assert np.allclose(louder, SOUND * factor, rtol=1e-4, atol=1e-7)
    assert abs(20 * np.log10(factor)) <= gain_db + 1e-4


def test_gains_fill_their_range() -> None:
    louder = [power(varied(Augmentation(gain_db=6), SOUND, seed)) for seed in range(200)]
    gains = 10 * np.log10(np.array(louder) / power(SOUND))
    assert gains.min() < -5.5
    assert gains.max() > 5.5
    assert abs(gains.mean()) < 1


def test_what_would_clip_is_scaled_down_as_a_whole() -> None:
    loud = tone(440) * 2
    results = [varied(Augmentation(gain_db=20), loud, seed) for seed in range(20)]
    for result in results:
        assert np.allclose(result, loud * np.abs(result).max() / np.abs(loud).max(), atol=1e-6)
    peaks = [np.abs(result).max() for result in results]
    assert max(peaks) == pytest.approx(1, abs=1e-6)
    assert min(peaks) < 0.5


@given(seed=seeds, snr_db=st.floats(-10, 50), recorded=st.booleans())
def test_noise_has_the_power_asked_for(
    folder: Path, seed: int, snr_db: float, recorded: bool
) -> None:
    options = Augmentation(
        noise_snr_db=(snr_db, snr_db), noise_share=1, noise=("hum",) if recorded else ()
    )
    quiet = SOUND / 10
    noise = varied(options, quiet, seed, folder) - quiet
    assert 10 * np.log10(power(quiet) / power(noise)) == pytest.approx(snr_db, abs=0.1)


def test_noise_comes_as_often_as_asked_for() -> None:
    options = Augmentation(noise_snr_db=(0, 40), noise_share=0.3)
    noisy = [not np.array_equal(varied(options, SOUND, seed), SOUND) for seed in range(300)]
    assert np.mean(noisy) == pytest.approx(0.3, abs=0.1)


def test_noise_comes_from_all_kinds_but_voices(folder: Path) -> None:
    options = Augmentation(noise_snr_db=(0, 0), noise_share=1, noise=("hum",))
    noise = [varied(options, SOUND, seed, folder) - SOUND for seed in range(40)]
    assert {int(np.abs(np.fft.rfft(n)).argmax()) for n in noise} == {100, 3000}
    some = options.model_copy(update={"noise_without": ("low",)})
    noise = [varied(some, SOUND, seed, folder) - SOUND for seed in range(10)]
    assert {int(np.abs(np.fft.rfft(n)).argmax()) for n in noise} == {3000}


def test_an_excerpt_wraps_round() -> None:
    recording = np.arange(1, 6, dtype=np.int16)
    excerpt = augment.excerpt(recording, 12, np.random.default_rng(1)) * 32_768
    assert excerpt.dtype == np.float32
    assert np.array_equal(np.diff(excerpt) % 5, np.ones(11))
    starts = {augment.excerpt(recording, 1, np.random.default_rng(s))[0] for s in range(40)}
    assert len(starts) == 5


def test_a_room_of_one_wall_far_away_is_an_echo() -> None:
    response = noises.impulse_response(np.eye(1, 400, 37, dtype=np.float32)[0])
    assert np.array_equal(response, [1])
    assert np.allclose(augment.in_room(SOUND, response), SOUND, atol=1e-6)
    click = np.eye(1, 1000, 100, dtype=np.float32)[0]
    echo = np.zeros(300, np.float32)
    echo[[0, 250]] = 0.8, 0.6
    heard = augment.in_room(click, echo)
    assert heard[[100, 350]] == pytest.approx([0.8, 0.6], abs=1e-5)
    assert np.delete(np.abs(heard), [100, 350]).max() < 1e-5


@given(seed=seeds, length=st.integers(1, 5000), tail=st.integers(1, 20_000))
def test_a_room_keeps_length_and_level(seed: int, length: int, tail: int) -> None:
    rng = np.random.default_rng(seed)
    decay = np.exp(-np.arange(tail) / 2000)
    response = noises.impulse_response((rng.normal(0, 1, tail) * decay).astype(np.float32))
    heard = augment.in_room(SOUND[5000 : 5000 + length], response)
    assert len(heard) == length
    assert power(heard) == pytest.approx(power(SOUND[5000 : 5000 + length]), rel=1e-3)


def test_a_room_keeps_the_place(folder: Path) -> None:
    click = np.eye(1, 1000, 500, dtype=np.float32)[0]
    heard = varied(Augmentation(room_share=1), click, 0, folder)
    assert np.flatnonzero(np.abs(heard) > 0.01).tolist() == [500, 660]


def test_the_end_does_not_leak_into_the_beginning() -> None:
    click = np.eye(1, 960, 958, dtype=np.float32)[0]
    echo = np.zeros(300, np.float32)
    echo[[0, 250]] = 0.8, 0.6
    assert np.abs(augment.in_room(click, echo)[:900]).max() < 1e-5
    assert np.abs(augment.faster(click, 0.93)[:100]).max() < 0.01


@given(speed=st.floats(0.8, 1.25), hertz=st.floats(200, 5000))
def test_speed_changes_length_and_pitch(speed: float, hertz: float) -> None:
    fast = augment.faster(tone(hertz), speed)
    assert len(fast) == pytest.approx(SAMPLE_RATE / speed, rel=0.01)
    spectrum = np.abs(np.fft.rfft(fast * np.hanning(fast.size), 8 * SAMPLE_RATE))
    pitch = spectrum.argmax() / 8
    assert pitch == pytest.approx(hertz * speed, rel=0.01)
    assert pitch * len(fast) == pytest.approx(hertz * SAMPLE_RATE, rel=1e-3)  # both by as much
    middle = fast[1000:-1000]
    assert power(middle) == pytest.approx(0.125, rel=0.01)  # no treble is lost


def test_what_would_fold_back_is_left_out() -> None:
    assert power(augment.faster(tone(7500), 1.2)[1000:-1000]) < 1e-6


def test_speeds_fill_their_range() -> None:
    lengths = [varied(Augmentation(speed=0.2), SOUND, seed).size for seed in range(100)]
    assert SAMPLE_RATE / 1.2 - 1 <= min(lengths) < SAMPLE_RATE / 1.15
    assert SAMPLE_RATE / 0.85 < max(lengths) < SAMPLE_RATE / 0.8 * 1.01


@given(seed=seeds, length=st.integers(1, 16_000), shift_ms=st.floats(0, 500))
def test_a_shift_cuts_both_ends_and_nothing_else(seed: int, length: int, shift_ms: float) -> None:
    numbered = np.arange(1, length + 1, dtype=np.float32) / 20_000
    rest = varied(Augmentation(shift_ms=shift_ms), numbered, seed)
    most = min(shift_ms * SAMPLE_RATE / 1000, length / 4)
    first, last = round(rest[0] * 20_000), round(rest[-1] * 20_000)
    assert np.array_equal(rest, numbered[first - 1 : last])
    assert first - 1 <= most
    assert length - last <= most


def test_shifts_differ_at_both_ends() -> None:
    numbered = np.arange(1, SAMPLE_RATE + 1, dtype=np.float32) / 20_000
    ends = [varied(Augmentation(shift_ms=100), numbered, seed)[[0, -1]] for seed in range(20)]
    assert len({first for first, _ in ends}) > 10
    assert len({last for _, last in ends}) > 10


@given(seed=seeds, samples=st.sampled_from([1, 2, 3, 160, 4001]), silent=st.booleans())
def test_a_recorder_keeps_length_and_is_finite(seed: int, samples: int, silent: bool) -> None:
    x = np.zeros(samples, np.float32) if silent else np.full(samples, 0.9, np.float32)
    result = varied(RECORDER, x, seed)
    assert (result.dtype, result.shape) == (np.float32, x.shape)
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 1


@pytest.mark.parametrize("option", ["colour_share", "floor_share", "band_share", "codec_share"])
def test_a_recorder_comes_as_often_as_asked_for(option: str) -> None:
    options = Augmentation.model_validate({option: 0.3, "codecs": ("mu-law",)})
    heard = [not np.array_equal(varied(options, SOUND, seed), SOUND) for seed in range(200)]
    assert np.mean(heard) == pytest.approx(0.3, abs=0.1)


def test_a_recorder_hears_the_noise_too_and_its_own_floor_is_below_both() -> None:
    noisy = Augmentation(noise_snr_db=(0, 0), noise_share=1, band_share=1)
    levels = np.abs(np.fft.rfft(varied(noisy, SOUND, 0) * np.hanning(SOUND.size)))
    assert levels[4010:].max() < 1e-3 * levels[:4000].max()
    floor = noisy.model_copy(update={"floor_share": 1, "floor_dbfs": (-60, -60)})
    both = [varied(options, SOUND, 0) for options in (noisy, floor)]
    assert 10 * np.log10(power(both[1] - both[0])) < -60  # for the telephone takes some of it away


@pytest.mark.parametrize(
    ("seed", "size", "loudness", "following"),
    [
        (0, 11301, 1825.61426, 0.7294965609839984),
        (1, 11597, 554.97144, 0.4091991363691613),
        (2, 12946, 212.75955, 0.7285605268117946),
    ],
)
def test_networks_that_were_trained_without_a_recorder_can_be_trained_again(
    folder: Path, seed: int, size: int, loudness: float, following: float
) -> None:
    """What came out before there was one, and the number that the generator gave next."""
    rng = np.random.default_rng(seed)
    result = Augmenter(EVERYTHING, folder)(SOUND, rng)
    assert result.size == size
    assert np.abs(result).sum() == pytest.approx(loudness, rel=1e-4)
    assert rng.random() == following


def test_rooms_that_are_kept_for_tests_are_not_heard(tmp_path: Path) -> None:
    (tmp_path / "rir").mkdir()
    for name, place in {"box": 160, "cell": 320}.items():
        response = np.zeros(400, np.float32)
        response[[0, place]] = 0.5, -0.25
        soundfile.write(tmp_path / "rir" / f"{name}.flac", response, SAMPLE_RATE)
    click = np.eye(1, 1000, 500, dtype=np.float32)[0]
    options = Augmentation(room_share=1, rooms_without=("cell",))
    for seed in range(10):
        heard = varied(options, click, seed, tmp_path)
        assert np.flatnonzero(np.abs(heard) > 0.01).tolist() == [500, 660]
    with pytest.raises(NoiseError):
        varied(options.model_copy(update={"rooms_without": ("box", "cell")}), click, 0, tmp_path)


@given(seed=seeds, samples=st.sampled_from([1, 2, 3, 160, 4001]), silent=st.booleans())
def test_anything_in_gives_something_finite(
    folder: Path, seed: int, samples: int, silent: bool
) -> None:
    x = np.zeros(samples, np.float32) if silent else np.full(samples, 0.9, np.float32)
    for options in (EVERYTHING, EVERYTHING.model_copy(update={"noise": ()})):
        result = varied(options, x, seed, folder)
        assert result.dtype == np.float32
        assert result.ndim == 1
        assert result.size >= 1
        assert np.isfinite(result).all()
        assert np.abs(result).max() <= 1
        assert result.any() != silent


@pytest.mark.parametrize("peak", [0.1, 1.0])
def test_noise_is_taken_out_as_often_as_asked_for(
    monkeypatch: pytest.MonkeyPatch, peak: float
) -> None:
    monkeypatch.setattr(bundle, "find", Path)
    monkeypatch.setattr(denoiser, "load", lambda _: made(nothing))
    sound = np.float32(peak) * SOUND / np.abs(SOUND).max()
    noisy = Augmentation(noise_snr_db=(0, 0), noise_share=1)
    some = noisy.model_copy(update={"denoised_share": 0.3})
    left = [power(varied(some, sound, seed)) for seed in range(200)]
    whole = [power(varied(noisy, sound, seed)) for seed in range(200)]
    silenced = np.array(left) < 1e-3 * np.array(whole)
    assert 0.2 < silenced.mean() < 0.4
    assert np.array(left)[~silenced] == pytest.approx(np.array(whole)[~silenced])


def test_a_denoiser_that_keeps_everything_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "find", Path)
    monkeypatch.setattr(denoiser, "load", lambda _: made(everything))
    noisy = Augmentation(noise_snr_db=(0, 0), noise_share=1)
    kept = varied(noisy.model_copy(update={"denoised_share": 1}), SOUND, 1)
    assert kept == pytest.approx(varied(noisy, SOUND, 1), abs=1e-4)


def test_the_seed_decides(folder: Path) -> None:
    for options in (EVERYTHING, RECORDER):
        once, again, other = (varied(options, SOUND, seed, folder) for seed in (3, 3, 4))
        assert np.array_equal(once, again)
        assert not np.array_equal(once, other)


def test_threads_share_an_augmenter(folder: Path) -> None:
    def one(augmenter: Augmenter, seed: int) -> Floats:
        return augmenter(SOUND, np.random.default_rng(seed))

    options = EVERYTHING.model_copy(update={"codec_share": 0.5})
    alone = [one(Augmenter(options, folder), seed) for seed in range(24)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(partial(one, Augmenter(options, folder)), range(24)))
    assert all(map(np.array_equal, alone, together))


def test_what_is_given_stays_as_it_was(folder: Path) -> None:
    given_ = SOUND.copy()
    augmenter = Augmenter(EVERYTHING, folder)
    for seed in range(10):
        augmenter(given_, np.random.default_rng(seed))
    assert np.array_equal(given_, SOUND)


@pytest.mark.parametrize(
    "options",
    [
        Augmentation(room_share=0.1, rooms="none"),
        Augmentation(noise_snr_db=(0, 1), noise=("none",)),
    ],
)
def test_a_missing_folder_is_told_before_anything_is_varied(
    folder: Path, options: Augmentation
) -> None:
    with pytest.raises(NoiseError, match=r"none: no such folder$"):
        Augmenter(options, folder)


def test_folders_that_nothing_needs_may_be_missing() -> None:
    options = Augmentation(rooms="none", noise=("none",), gain_db=1)
    assert Augmenter(options, NOWHERE)(SOUND, np.random.default_rng(0)).size == SOUND.size


def test_real_noises_and_rooms(data: Path, speech: Floats) -> None:
    options = EVERYTHING.model_copy(update={"noise": ("noise/esc10", "noise/speech_commands")})
    augmenter = Augmenter(options, data)
    for seed in range(20):
        result = augmenter(speech, np.random.default_rng(seed))
        assert np.isfinite(result).all()
        assert power(result) > 0
