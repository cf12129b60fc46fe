"""A whole recording: its utterances and what they add up to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serd.adaptation import Speaker, recognise
from serd.baseline import Floats
from serd.classifier import UNCERTAIN, Classifier, Prediction
from serd.events import rounded
from serd.speech import Speech


@dataclass(frozen=True)
class Part:
    """What was found in an utterance."""

    start_s: float
    end_s: float
    prediction: Prediction
    denoised: bool


@dataclass(frozen=True)
class Recording:
    """What was found in a file."""

    path: Path
    duration_s: float
    model: str
    parts: tuple[Part, ...]
    whole: Prediction | None
    """The parts' scores, each weighed by its length; None without speech."""

    def as_dict(self) -> dict[str, Any]:
        """The object that `serd classify --format jsonl` prints."""
        return {
            "file": str(self.path),
            "duration_s": round(self.duration_s, 3),
            **_said(self.whole),
            "model": self.model,
            "denoised": any(part.denoised for part in self.parts),
            "segments": [
                {
                    "start_s": round(part.start_s, 3),
                    "end_s": round(part.end_s, 3),
                    **_said(part.prediction),
                    "denoised": part.denoised,
                }
                for part in self.parts
            ],
        }


@dataclass(frozen=True)
class Heard:
    """What a voice's baseline is made of."""

    embeddings: tuple[Floats, ...]
    """Of each utterance, `[size]`; none where the model gives none."""
    seconds: float
    """The length of all utterances together."""


def hear(speech: Speech, classifier: Classifier) -> Heard:
    """Only what a baseline is made of.

    Raises:
        AudioError: it cannot be read as sound.
    """
    embeddings, seconds = [], 0.0
    for one in speech:
        seconds += one.end_s - one.start_s
        embedding = classifier.classify(one.samples).embedding
        if embedding is not None:
            embeddings.append(embedding)
    return Heard(tuple(embeddings), seconds)


def classify(speech: Speech, classifier: Classifier, speaker: Speaker = None) -> Recording:
    """Classify each utterance of a file and the file as a whole.

    Raises:
        AudioError: it cannot be read as sound.
    """
    parts = tuple(
        Part(one.start_s, one.end_s, recognise(classifier, one.samples, speaker), one.denoised)
        for one in speech
    )
    weighted = [(part.prediction.scores, part.end_s - part.start_s) for part in parts]
    whole = classifier.combine(weighted) if weighted else None
    return Recording(speech.path, speech.duration_s, classifier.card.id, parts, whole)


def _said(prediction: Prediction | None) -> dict[str, Any]:
    if prediction is None:
        return {"emotion": None}
    said: dict[str, Any] = {
        "emotion": prediction.emotion,
        "confidence": round(prediction.confidence, 4),
        "scores": rounded(prediction.scores),
    }
    if prediction.emotion == UNCERTAIN:
        said["best"] = prediction.best
    return said
