"""Many files, one after the other or several at a time."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from serd import bundle, cleaning
from serd.audio import AudioError
from serd.classifier import Classifier
from serd.cleaning import Cleaning
from serd.recording import Recording, classify_file
from serd.settings import DenoiseSettings, Settings

Result = Recording | AudioError


def classify_files(
    paths: Sequence[Path], settings: Settings, jobs: int = 1
) -> Iterator[tuple[Path, Result]]:
    """Each file with what was found in it or why it cannot be read, in the order given.

    Raises:
        BundleError: the model cannot be used.
    """
    _classifier(settings.model)  # before any process or file is opened
    _cleaning(settings.denoise)
    if min(jobs, len(paths)) < 2:
        return zip(paths, (_classify(path, settings) for path in paths), strict=True)
    pool = ProcessPoolExecutor(min(jobs, len(paths)), initializer=_end_at_once)
    # Processes begin here, before the caller has threads, which do not go well with forks.
    results = pool.map(_classify, paths, [settings] * len(paths))
    return _closing(pool, zip(paths, results, strict=True))


def _closing(
    pool: ProcessPoolExecutor, results: Iterable[tuple[Path, Result]]
) -> Iterator[tuple[Path, Result]]:
    with pool:
        yield from results


def _end_at_once() -> None:
    """At Ctrl+C, which goes to every process, only the first has something to say."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _classify(path: Path, settings: Settings) -> Result:
    try:
        return classify_file(
            path, _classifier(settings.model), _cleaning(settings.denoise), settings.segments
        )
    except AudioError as error:
        return error


@cache
def _classifier(model: str) -> Classifier:
    """One a process: interpreters cannot be shared."""
    return Classifier(bundle.load(bundle.find(model)))


@cache
def _cleaning(settings: DenoiseSettings) -> Cleaning:
    """One a process, for the same reason."""
    return cleaning.load(settings)
