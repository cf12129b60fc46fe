"""The report as one HTML page that needs nothing beside it, and its pictures as PNGs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from serd.wording import reason
from training.corpora.clip import Clip
from training.report import denoisers, detail, outcomes, sounds, tables
from training.report.denoisers import Denoisers
from training.report.figures import render
from training.report.markup import Html, element, picture, slug, table, terms
from training.report.results import HOW_TO_READ
from training.report.style import CSS
from training.report.systems import RANDOM, STRICT, ReportError, System

_DENOISER = "denoiser"
_TITLE = "Emotions in speech: what was measured"


def write(
    systems: Sequence[System],
    output: Path,
    clips: Sequence[Clip] = (),
    studies: Sequence[Denoisers] = (),
) -> Path:
    """Write the page of some runs.

    Args:
        systems: in any order; the best is shown first.
        output: a folder; gets `index.html` and a PNG of every picture in it.
        clips: of the first one of each emotion, the page shows what the sound looks like.
        studies: of denoisers.

    Returns:
        The page.

    Raises:
        ReportError: the output cannot be written.
    """
    page = output / "index.html"
    try:
        output.mkdir(parents=True, exist_ok=True)
        page.write_text(_page(tables.by_strict_uar(systems), studies, output, clips), "utf-8")
    except OSError as error:
        raise ReportError(f"{page}: {reason(error)}") from error
    return page


def _page(
    systems: Sequence[System], studies: Sequence[Denoisers], output: Path, clips: Sequence[Clip]
) -> str:
    anchors = list(_anchors(systems))
    links = [(f"#{a}", s.title) for a, s in zip(anchors, systems, strict=True)]
    links += [(f"#{_DENOISER}-{n}", run.facts["title"]) for n, run in enumerate(studies)]
    links += [("#sounds", "What the sound looks like")] if clips else []
    items = (element("li", element("a", text, href=href)) for href, text in links)
    main = element(
        "main",
        element("header", element("h1", _TITLE), element("nav", element("ul", *items))),
        *([_overview(systems, anchors, output)] if systems else []),
        *(
            detail.section(system, anchor, output)
            for system, anchor in zip(systems, anchors, strict=True)
        ),
        *(denoisers.section(run, f"{_DENOISER}-{n}", output) for n, run in enumerate(studies)),
        *([sounds.section(clips, output)] if clips else []),
    )
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_TITLE}</title>\n<style>{CSS}</style>\n</head>\n"
    )
    return f"{head}<body>\n{main}\n</body>\n</html>\n"


def _anchors(systems: Sequence[System]) -> Iterator[str]:
    """A name in the page for each, unique even when two runs are called alike."""
    used = {"sounds", "comparison", _DENOISER, ""}
    for system in systems:
        name = base = slug(system.name)
        number = 1
        while name in used:
            number += 1
            name = f"{base}-{number}"
        used.add(name)
        yield name


def _overview(systems: Sequence[System], anchors: Sequence[str], output: Path) -> Html:
    links = [f"#{anchor}" for anchor in anchors]
    parts = [table(tables.comparison(systems), links), terms(HOW_TO_READ)]
    found = [s for s in systems if s.measured(STRICT) or s.measured(RANDOM)]
    if found:
        drawn = render(
            output,
            "comparison",
            outcomes.comparison,
            [system.title for system in found],
            [[tables.values(s.measured(p), "uar") for p in (RANDOM, STRICT)] for s in found],
            [1 / len(tables.labels(system)) for system in found],
        )
        caption = "UAR of each system with people it knows (random) and people it does not."
        parts.append(picture(drawn, caption, "comparison"))
    others = {p for system in systems for p in system.protocols} - {STRICT, RANDOM}
    parts += [table(tables.of_protocol(systems, protocol)) for protocol in sorted(others)]
    parts += map(table, tables.robust(systems))
    return element("section", element("h2", "All systems"), *parts, id="comparison")
