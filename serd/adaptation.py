"""Recognises each utterance by the baseline of who says it, and gets used to the speakers."""

from serd.audio import Pcm
from serd.baseline import Floats
from serd.classifier import Classifier, Prediction
from serd.company import Company

Speaker = Company | Floats | None
"""Who speaks: one of these people; who has this baseline, `[size]`; or it is not known."""


def recognise(classifier: Classifier, samples: Pcm, speaker: Speaker) -> Prediction:
    """Recognise one utterance, int16 `[n]` at 16 kHz.

    In company, mostly who spoke last goes on; only when it turns out to be somebody else, the
    network, whose embedding does not depend on the baseline, is asked twice.
    """
    if not isinstance(speaker, Company):
        return classifier.classify(samples, speaker)
    last = speaker.last
    prediction = classifier.classify(samples, last.value(speaker.adaptation))
    embedding = prediction.embedding
    if embedding is None:  # a network that gets used to nobody
        return prediction
    voice = speaker.who(embedding)
    if voice is not last:
        prediction = classifier.classify(samples, voice.value(speaker.adaptation))
    speaker.add(voice, embedding)
    return prediction
