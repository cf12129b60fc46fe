"""Many files, one after the other or several at a time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from serd import bundle
from serd.audio import AudioError
from serd.classifier import Classifier
from serd.recording import Recording, classify_file
from serd.settings import Settings

Result = Recording | AudioError


def classify_files(
    paths: Sequence[Path], settings: Settings, jobs: int = 1
) -> Iterator[tuple[Path, Result]]:
    """Each file with what was found in it or why it cannot be read, in the order given.

    Raises:
        BundleError: the model cannot be used.
    """
    _classifier(settings.model)  # before any process or file is opened
    with ExitStack() as stack:
        if jobs > 1:
            pool = stack.enter_context(ProcessPoolExecutor(min(jobs, len(paths))))
            results = pool.map(_classify, paths, [settings] * len(paths))
        else:
            results = (_classify(path, settings) for path in paths)
        yield from zip(paths, results, strict=True)


def _classify(path: Path, settings: Settings) -> Result:
    try:
        return classify_file(path, _classifier(settings.model), settings.segments)
    except AudioError as error:
        return error


@cache
def _classifier(model: str) -> Classifier:
    """One a process: interpreters cannot be shared."""
    return Classifier(bundle.load(bundle.find(model)))
