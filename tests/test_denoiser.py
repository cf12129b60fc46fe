import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from serd import bundle, denoiser
from serd.bundle import BundleError, DenoiserCard
from serd.denoiser import Denoiser

CARD = DenoiserCard(
    name="spy",
    version="1",
    quantization="none",
    sha256="0" * 64,
    n_fft=64,
    frames=12,
    context=2,
    least_gain_db=-40,
    below_snr_db=5,
)
SHAPE = (1, CARD.frames, CARD.n_fft // 2)
SOUNDS = st.integers(0, 3000).flatmap(
    lambda size: arrays(np.int16, size, elements=st.integers(-32_768, 32_767))
)


def made(mask, **changed):
    """A denoiser whose network is a function of the spectrum."""

    def network(inputs):
        assert inputs["spectrum"].shape == SHAPE
        assert inputs["spectrum"].dtype == np.float32
        return {"mask": mask(inputs["spectrum"])}

    return Denoiser(CARD.model_copy(update=changed), network)


def everything(spectrum):
    return np.ones_like(spectrum)


def nothing(spectrum):
    return np.zeros_like(spectrum)


def lively(spectrum):
    return 1 / (1 + np.exp(-spectrum))


@given(sound=SOUNDS)
def test_what_is_all_speech_stays(sound):
    again = made(everything)(sound)
    assert again.dtype == np.int16
    assert again.shape == sound.shape
    assert np.abs(again.astype(int) - sound).max(initial=0) <= 1


@given(sound=SOUNDS, cuts=st.lists(st.integers(0, 3000)))
def test_pieces_give_what_the_whole_gives(sound, cuts):
    own = made(lively)
    stream = own.stream()
    places = sorted(cut for cut in cuts if cut < sound.size)
    pieces = [stream.feed(piece) for piece in np.split(sound, places)]
    assert np.array_equal(np.concatenate([*pieces, stream.flush()]), own(sound))


@pytest.mark.parametrize("chunk", [1, 17, 509, 4096])
def test_a_stream_is_at_most_a_window_late(chunk):
    stream = made(lively).stream()
    fed = given_back = 0
    for _ in range(0, 8000, chunk):
        fed += chunk
        given_back += stream.feed(np.ones(chunk, np.int16)).size
        assert fed - given_back <= max(chunk, CARD.frames * CARD.n_fft // 2)


@given(sound=SOUNDS)
def test_nothing_is_made_louder(sound):
    quieter = made(lively)(sound).astype(float)
    assert np.isfinite(quieter).all()
    assert np.square(quieter).sum() <= 1.001 * np.square(sound.astype(float)).sum() + sound.size


@pytest.mark.parametrize("mask", [everything, nothing, lively])
def test_silence_stays_silent(mask):
    assert not made(mask)(np.zeros(5000, np.int16)).any()


def test_noise_is_softened_by_so_much_and_no_more():
    sound = np.random.default_rng(0).integers(-9000, 9000, 5000).astype(np.int16)
    for least_gain_db in (-20, -6):
        left = made(nothing, least_gain_db=least_gain_db)(sound)
        softer = 20 * np.log10(left.std() / sound.std())
        assert softer == pytest.approx(least_gain_db, abs=0.1)


def test_the_network_gives_the_root_of_the_gain():
    sound = np.random.default_rng(0).integers(-9000, 9000, 5000).astype(np.int16)
    half = made(lambda spectrum: np.full_like(spectrum, 0.5))(sound)
    assert np.abs(half - sound / 4).max() <= 1


def test_a_constant_offset_is_no_trouble():
    sound = np.random.default_rng(0).integers(-900, 900, 5000).astype(np.int16) + np.int16(20_000)
    assert np.abs(made(everything)(sound).astype(int) - sound).max() <= 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"frames": 64}, "the network does not map spectrum to mask, (1, 64, 256)"),
        ({"context": 64}, "its context leaves nothing of a window"),
        ({"least_gain_db": 3}, "card.json: least_gain_db: "),
        ({"sha256": "0" * 64}, "its SHA-256 is not the card's"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, said):
    published = bundle.find("denoiser")
    card = json.loads((published / bundle.CARD_FILE).read_text())
    (tmp_path / bundle.CARD_FILE).write_text(json.dumps(card | change))
    (tmp_path / bundle.MODEL_FILE).write_bytes((published / bundle.MODEL_FILE).read_bytes())
    with pytest.raises(BundleError, match=r"\A[^\n]*\Z") as caught:
        denoiser.load(tmp_path)
    assert said in str(caught.value)


def test_each_model_has_its_own_trade():
    with pytest.raises(BundleError, match="it recognises emotions and takes no noise out"):
        denoiser.load(bundle.find("cnn"))
    with pytest.raises(BundleError, match="it takes noise out and recognises nothing"):
        bundle.load(bundle.find("denoiser"))
