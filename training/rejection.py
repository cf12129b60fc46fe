"""Which sounds that are no speech get an emotion all the same, and which speech gets none."""

from serd.classifier import UNCERTAIN, Classifier
from training.heads import not_speech
from training.heads.not_speech import Sounds
from training.recordings import Recordings
from training.sides import Split


def measure(
    classifier: Classifier, recordings: Recordings, sounds: Sounds, split: Split
) -> dict[str, float]:
    """Shares of utterances, as the daemon cuts them, that it does not call uncertain, 0…1.

    Without any sounds of other kinds, only that of speech.

    Args:
        classifier: of a network that learnt from the split.
        recordings: of the study.
        sounds: that are no speech; those are played whose kinds the network did not learn.
        split: whose test is the speech.
    """
    unknown = sounds.kept_out(not_speech.group(split))
    tested = set(split.test)
    played = {
        "other sounds": [s for s, new in zip(sounds.samples, unknown, strict=True) if new],
        "speech": [u.samples for u in recordings.utterances if u.clip in tested],
    }
    return {
        what: sum(classifier.classify(x).emotion != UNCERTAIN for x in each) / len(each)
        for what, each in played.items()
        if each
    }
