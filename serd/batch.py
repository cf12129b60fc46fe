"""Many files, one after the other or several at a time."""

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

from serd import bundle, cleaning, recording, voices
from serd.adaptation import Speaker
from serd.audio import AudioError
from serd.baseline import Baseline
from serd.classifier import Classifier
from serd.cleaning import Cleaning
from serd.company import Company
from serd.recording import Heard, Recording
from serd.settings import BASELINES, DenoiseSettings, Settings
from serd.speech import Speech

Result = Recording | AudioError


def classify_files(
    paths: Sequence[Path], settings: Settings, jobs: int = 1
) -> Iterator[tuple[Path, Result]]:
    """Each file with what was found in it or why it cannot be read, in the order given.

    Raises:
        BundleError: the model cannot be used.
        VoicesError: nor can the voice that the settings name.
    """
    card = _classifier(settings.model).card  # before any process or file is opened
    _cleaning(settings.denoise)
    adaptation = card.adaptation
    choice = settings.adaptation.baseline or "file"
    speaker: Speaker = None if choice in BASELINES else voices.named(choice, settings, card)
    if adaptation is not None and choice == "running":
        speaker = Company(adaptation)  # which needs the files one by one
    with ExitStack() as stack:
        each: Callable[..., Iterable[Any]] = map
        if min(jobs, len(paths)) > 1 and not isinstance(speaker, Company):
            pool = ProcessPoolExecutor(min(jobs, len(paths)), initializer=_end_at_once)
            each = stack.enter_context(pool).map
        # Processes begin here, before the caller has threads, which do not go well with forks.
        if adaptation is not None and choice == "all":
            heard = list(each(partial(_hear, settings=settings), paths))
            said = [e for one in heard if isinstance(one, Heard) for e in one.embeddings]
            speaker = Baseline.of(adaptation, said).value(adaptation)
        classify = partial(_classify, settings=settings, speaker=speaker, own=choice == "file")
        return _closing(stack.pop_all(), zip(paths, each(classify, paths), strict=True))


def hear_files(
    paths: Sequence[Path], settings: Settings
) -> Iterator[tuple[Path, Heard | AudioError]]:
    """Each file with its utterances' embeddings or why it cannot be read, in the order given.

    Raises:
        BundleError: the model cannot be used.
    """
    return zip(paths, (_hear(path, settings) for path in paths), strict=True)


def _closing(
    stack: ExitStack, results: Iterable[tuple[Path, Result]]
) -> Iterator[tuple[Path, Result]]:
    with stack:
        yield from results


def _end_at_once() -> None:
    """At Ctrl+C, which goes to every process, only the first has something to say."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _classify(path: Path, settings: Settings, speaker: Speaker, own: bool) -> Result:
    """With `own`, the speaker is whoever is heard in the file itself."""
    classifier = _classifier(settings.model)
    adaptation = classifier.card.adaptation
    speech = _speech(path, settings)
    try:
        if own and adaptation is not None:
            heard = recording.hear(speech, classifier).embeddings
            speaker = Baseline.of(adaptation, heard).value(adaptation)
        return recording.classify(speech, classifier, speaker)
    except AudioError as error:
        return error


def _hear(path: Path, settings: Settings) -> Heard | AudioError:
    try:
        return recording.hear(_speech(path, settings), _classifier(settings.model))
    except AudioError as error:
        return error


def _speech(path: Path, settings: Settings) -> Speech:
    return Speech(path, _cleaning(settings.denoise), settings.segments)


@cache
def _classifier(model: str) -> Classifier:
    """One a process: interpreters cannot be shared."""
    return Classifier(bundle.load(bundle.find(model)))


@cache
def _cleaning(settings: DenoiseSettings) -> Cleaning:
    """One a process, for the same reason."""
    return cleaning.load(settings)
