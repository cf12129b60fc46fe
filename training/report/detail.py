"""What the page says of one system."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training import evaluate
from training.report import learning, measures, outcomes, tables
from training.report.figures import Figure, render
from training.report.markup import Html, element, picture, slug, table, terms
from training.report.systems import STRICT, Pool, System
from training.tables import percent


class _Album:
    """Draws one system's pictures, the PNGs into the output folder."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder
        self._prefix = prefix

    def picture(
        self, name: str, caption: str, draw: Callable[..., Figure], *arguments: Any
    ) -> Html:
        whole = f"{self._prefix}-{slug(name)}"
        return picture(render(self._folder, whole, draw, *arguments), caption, whole)


def section(system: System, anchor: str, output: Path) -> Html:
    """All that is known of a system, its main protocol at length."""
    album = _Album(output, anchor)
    notes = [element("li", str(note)) for note in system.facts.get("notes") or []]
    parts = []
    measured = [p for p in system.protocols if system.measured(p)]
    parts += [table(tables.protocols(system))] if system.protocols else []
    parts += [terms(tables.facts(system))]
    parts += [element("ul", *notes, class_="notes")] if notes else []
    if made := tables.origin(system):
        parts.append(element("details", element("summary", "How it was made"), terms(made)))
    if measured:
        longest = STRICT if STRICT in measured else measured[0]
        pool = Pool(system.measured(longest))
        pictures = [*_recognition(pool, longest, album), *_people(pool, longest, album)]
        pictures += [*_certainty(pool, longest, album), *_training(system, longest, album)]
        parts += [element("h3", longest), _grid(pictures)]
        for protocol in measured:
            if protocol != longest:
                own = _recognition(Pool(system.measured(protocol)), protocol, album)
                summary = element("summary", f"{protocol}: by emotion")
                parts.append(element("details", summary, _grid(own)))
    else:
        parts.append(element("p", "Nothing is measured yet."))
    parts += _choice(system, album)
    problems = [element("p", problem, class_="problem") for problem in system.problems]
    return element("section", element("h2", system.title), *problems, *parts, id=anchor)


def _grid(parts: Iterator[Html] | list[Html]) -> Html:
    return element("div", *parts, class_="grid")


def _recognition(pool: Pool, protocol: str, album: _Album) -> Iterator[Html]:
    """Which emotions are taken for which."""
    caption = f"Confusion matrix ({protocol}): how clips of each emotion were heard, in percent."
    if pool.silent:
        caption += f" No speech was found in {pool.silent} of {len(pool.truth)}."
    shares = measures.confusion_shares(pool.probabilities, pool.truth)
    yield album.picture(f"{protocol}-confusion", caption, outcomes.confusion, shares, pool.labels)
    yield table(tables.of_classes(pool))


def _people(pool: Pool, protocol: str, album: _Album) -> Iterator[Html]:
    """Who is recognised how well."""
    names = np.unique(pool.speakers)
    own = [pool.speakers == name for name in names]
    right = evaluate.right(pool.probabilities, pool.truth)
    accuracies = [float(right[o].mean()) for o in own]
    sexes = [str(pool.sexes[o][0]) for o in own]
    caption = (
        "Accuracy of each speaker, all seeds together; dashed: the mean of the speakers of a sex."
    )
    drawn = outcomes.speakers
    yield album.picture(f"{protocol}-speakers", caption, drawn, list(names), sexes, accuracies)
    yield table(tables.of_sexes(pool))


def _certainty(pool: Pool, protocol: str, album: _Album) -> Iterator[Html]:
    """Whether its confidence can be relied on."""
    given = [pool.probabilities, pool.before()]
    right = evaluate.right(pool.probabilities, pool.truth)
    confidences = [p.max(axis=1) for p in given if p is not None]
    found = [evaluate.reliability(confidence, right) for confidence in confidences]
    errors = [evaluate.calibration_error(confidence, right) for confidence in confidences]
    caption = (
        "Reliability, all folds together: how often what was said with some confidence was right."
    )
    if len(found) > 1:
        temperatures = [m.temperature for m in pool.measured if m.temperature is not None]
        span = f"{min(temperatures):.2f}…{max(temperatures):.2f}"
        caption += (
            f" The temperature T ({span} by fold) was fitted on validation speakers; “before” "
            "is the probabilities to the power T, normalised: exact for clips of one window."
        )
    before = found[1] if len(found) > 1 else None
    drawn = outcomes.reliability
    yield album.picture(f"{protocol}-reliability", caption, drawn, found[0], before, errors)
    curve = measures.risk_coverage(confidences[0], right)
    caption = (
        f"Risk and coverage: errors when the least certain clips are refused; the area under "
        f"the line is {percent(curve.area)} %, and 0 would be perfect."
    )
    yield album.picture(f"{protocol}-risk-coverage", caption, outcomes.risk_coverage, curve)


def _training(system: System, protocol: str, album: _Album) -> Iterator[Html]:
    """The epochs, where there were any."""
    if histories := system.histories(protocol):
        caption = f"Training, {len(histories)} folds and seeds thin, their mean thick."
        yield album.picture(f"{protocol}-history", caption, learning.history, histories)


def _choice(system: System, album: _Album) -> list[Html]:
    """How the parameters of a classical system were chosen, and what more data would bring."""
    found = [table(search) for search in tables.searches(system)]
    pictures = []
    for number, (where, curves) in enumerate(system.kept("curves.json").items(), 1):
        place = f" ({where})" if where else ""
        if validation := curves.get("validation"):
            name, values = validation["parameter"], validation["values"]
            caption = f"Validation curve{place}: score by {name}, mean ± sd over the inner folds."
            drawn = learning.curve, values, validation, str(name)
            pictures.append(album.picture(f"validation-curve-{number}", caption, *drawn))
        if sizes := curves.get("learning"):
            caption = f"Learning curve{place}: what more clips bring, mean ± sd."
            drawn = learning.curve, sizes["sizes"], sizes, "training utterances"
            pictures.append(album.picture(f"learning-curve-{number}", caption, *drawn))
    if not found and not pictures:
        return []
    return [element("h3", "Choice of parameters"), *found, _grid(pictures)]
