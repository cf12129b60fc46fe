"""What noise does to recognition, and what taking it out does: off, on, and what decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from serd import levels
from serd.audio import Floats
from serd.classifier import Classifier
from serd.denoiser import Denoiser
from serd.segmentation import segments_of
from serd.settings import SegmentSettings
from training import evaluate, surroundings
from training.surroundings import Played, Surroundings, in_noise

CLEAN = 100
"""An SNR, dB, that stands for no noise at all."""
SNRS_DB = (CLEAN, *surroundings.SNRS_DB)


@dataclass(frozen=True)
class Answers:
    """What was said of some clips, each heard at each of `SNRS_DB`: by segment."""

    truth: NDArray[np.int_]
    """`[clips]`."""
    clip: NDArray[np.int_]
    """`[segments]`."""
    snr_db: NDArray[np.int_]
    """At which the clip was heard, one of `SNRS_DB`, `[segments]`."""
    length: NDArray[np.int_]
    """Samples, `[segments]`."""
    estimate_db: Floats
    """The SNR that the daemon reads off the segment, `[segments]`."""
    off: Floats
    """Probabilities `[segments, labels]` of the segment as it is."""
    on: Floats
    """And without its noise."""

    def uar(self, threshold_db: float, snr_db: int) -> float:
        """Of clips, where noise is taken out of segments estimated below a threshold, dB."""
        return evaluate.figures(self._by_clip(threshold_db, snr_db), self.truth)["uar"]

    def expected_uar(self, threshold_db: float, snr_db: int) -> float:
        """Of answers drawn by their probabilities: changes with each of these, not in leaps."""
        given = self._by_clip(threshold_db, snr_db)[np.arange(len(self.truth)), self.truth]
        return float(np.mean([given[self.truth == label].mean() for label in set(self.truth)]))

    def _by_clip(self, threshold_db: float, snr_db: int) -> Floats:
        own = self.snr_db == snr_db
        chosen = np.where((self.estimate_db < threshold_db)[:, None], self.on, self.off)
        weights = self.length[own, None]
        total = np.zeros((len(self.truth), self.off.shape[1]))
        np.add.at(total, self.clip[own], chosen[own] * weights)
        heard = np.bincount(self.clip[own], self.length[own], len(self.truth))
        return (total / np.maximum(heard, 1)[:, None]).astype(np.float32)


def ask(
    clips: Sequence[Played],
    truth: NDArray[np.int_],
    around: Surroundings,
    classifier: Classifier,
    denoiser: Denoiser,
    settings: SegmentSettings,
) -> Answers:
    """Play clips in noise to the daemon's own code.

    Args:
        clips: to play.
        truth: what they are.
        around: the noises; every clip has one kind in turn, the same at every SNR.
        classifier: to ask.
        denoiser: to put before it.
        settings: how the daemon cuts.
    """
    rows = []
    for clip in track(clips, "answers"):
        for snr_db in SNRS_DB:
            heard = clip.samples if snr_db == CLEAN else in_noise(clip, around, snr_db)
            for segment in segments_of([heard], settings):
                own = segment.samples
                both = (classifier.classify(x).scores.values() for x in (own, denoiser(own)))
                estimate = levels.snr_db(own)
                rows.append((clip.number, snr_db, own.size, estimate, *(list(p) for p in both)))
    numbers, snrs, lengths, estimates, off, on = zip(*rows, strict=True)
    return Answers(
        truth,
        np.array(numbers),
        np.array(snrs),
        np.array(lengths),
        np.array(estimates, np.float32),
        np.array(off, np.float32),
        np.array(on, np.float32),
    )


def choose_threshold(held_out: Answers) -> float:
    """The threshold, dB, of the best expected UAR over all SNRs; of several the middle one.

    So few people are held out that their UAR itself is best by chance: by it, thresholds from
    9 to 39 dB came out of the folds of one network.

    Args:
        held_out: of people and noises that are not tested on.
    """
    thresholds = np.arange(0.0, 40.5, 0.5)
    means = np.array(
        [np.mean([held_out.expected_uar(t, snr_db) for snr_db in SNRS_DB]) for t in thresholds]
    )
    best = thresholds[means >= means.max() - 1e-9]
    return float(best[len(best) // 2])


def figures(answers: Answers, threshold_db: float) -> Mapping[str, Mapping[int, float]]:
    """UAR, 0…1: off, on and auto, at every SNR."""
    modes = {"off": -np.inf, "on": np.inf, "auto": threshold_db}
    return {
        mode: {snr_db: answers.uar(threshold, snr_db) for snr_db in SNRS_DB}
        for mode, threshold in modes.items()
    }
