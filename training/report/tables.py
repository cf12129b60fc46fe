"""The report's tables as plain text cells, for HTML and Markdown alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training import robustness
from training.evaluate import by_group
from training.report.measures import per_class
from training.report.systems import RANDOM, STRICT, Measured, Pool, System
from training.tables import NONE, Table, mean_sd, percent

_CANDIDATES = 12


def values(measured: Sequence[Measured], figure: str) -> list[float]:
    """A figure (`accuracy`, `uar` or `ece`, 0…1) of every fold and seed."""
    return [m.figures[figure] for m in measured]


def seed_means(measured: Sequence[Measured], figure: str) -> list[float]:
    """A figure of every seed, the mean over its folds."""
    seeds = sorted({m.fold.seed for m in measured})
    each = ([m for m in measured if m.fold.seed == seed] for seed in seeds)
    return [float(np.mean(values(own, figure))) for own in each]


def count(measured: Sequence[Measured]) -> str:
    """Folds × seeds, and how many of them there are when some are missing."""
    if not measured:
        return NONE
    folds, seeds = ({getattr(m.fold, key) for m in measured} for key in ("name", "seed"))
    said = f"{len(folds)} × {len(seeds)}"
    whole = len(measured) == len(folds) * len(seeds)
    return said if whole else f"{len(measured)} of {said}"


def by_strict_uar(systems: Sequence[System]) -> list[System]:
    """The best first, by subject-independent UAR; those without it last, by name."""
    return sorted(systems, key=lambda system: (place(system), system.name))


def place(system: System) -> tuple[int, float]:
    """The lower the better: by classes, for fewer are an easier task, then by UAR."""
    uar = values(system.measured(STRICT), "uar")
    return -len(labels(system)), -float(np.mean(uar)) if uar else 1.0


def size_kb(system: System) -> str:
    size = system.of_kind("sizes")
    return NONE if size is None else f"{size / 1000:,.0f}"


def operations(number: Any) -> str:
    """A number of operations or parameters, in thousands or millions.

    >>> operations(1_234_567), operations(52_000), operations(None)
    ('1.23 M', '52 k', '–')
    """
    if number is None:
        return NONE
    return f"{number / 1e6:.3g} M" if number >= 1e6 else f"{number / 1e3:.3g} k"


def latency(system: System) -> str:
    """Median and, where it is known, the 99th percentile, ms."""
    known = system.of_kind("latency_ms") or {}
    texts = {name: f"{known[name]:.3g}" for name in ("median", "p99") if name in known}
    tail = f" (p99 {texts['p99']})" if "p99" in texts else ""
    return texts.get("median", NONE) + tail


def labels(system: System) -> tuple[str, ...]:
    """What it tells apart; nothing where neither the run nor any scores say so."""
    known = [system.measured(protocol)[:1] for protocol in system.protocols]
    scored = [m.scores.labels for measured in known for m in measured]
    return tuple(system.facts.get("labels") or next(iter(scored), ()))


def facts(system: System) -> list[tuple[str, str]]:
    """What it is, as names and values; what is not known is left out."""
    told = system.facts
    bags = told.get("oob") or {}
    by_protocol = {
        protocol: [score for where, score in bags.items() if where.startswith(f"{protocol}/")]
        for protocol in dict.fromkeys(where.split("/")[0] for where in bags)
    }
    return _known(
        {
            "classes": ", ".join(labels(system)),
            "published kind": system.kind,
            "size": size_kb(system) + " kB",
            "parameters": operations(told.get("parameters")),
            "MACs of a window": operations(told.get("macs")),
            "latency": latency(system) + " ms",
            "out-of-bag accuracy": "; ".join(f"{p} {mean_sd(b)} %" for p, b in by_protocol.items()),
        }
    )


def origin(system: System) -> list[tuple[str, str]]:
    """How it was made, as names and values; what is not known is left out."""
    told = system.facts
    pairs = {
        key: ", ".join(f"{name} {value}" for name, value in (told.get(key) or {}).items())
        for key in ("data", "libraries")
    }
    return _known(
        {
            "name": " ".join(str(told[key]) for key in ("name", "version") if key in told),
            **{key: str(told.get(key) or "") for key in ("command", "commit", "machine")},
            "libraries": pairs["libraries"],
            "clips": str(told.get("clips") or ""),
            "corpora": ", ".join(map(str, told.get("corpora") or [])),
            "data (SHA-256)": pairs["data"],
        }
    )


def _known(pairs: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, text) for name, text in pairs.items() if text and not text.startswith(NONE)]


def comparison(systems: Sequence[System]) -> Table:
    """All systems, best first: the two protocols side by side."""
    rows = []
    for system in by_strict_uar(systems):
        pair = [system.measured(protocol) for protocol in (RANDOM, STRICT)]
        cells = [mean_sd(values(m, figure)) for figure in ("accuracy", "uar") for m in pair]
        counts = dict.fromkeys(count(m) for m in pair if m) or [NONE]
        cells += [" / ".join(counts), str(len(labels(system)) or NONE), size_kb(system)]
        rows.append((system.title, *cells, operations(system.facts.get("macs")), latency(system)))
    pairs = [f"{name}, {p}" for name in ("accuracy", "UAR") for p in (RANDOM, STRICT)]
    head = ("system", *pairs, "folds × seeds", "classes", "size, kB", "MACs", "latency, ms")
    return Table("All systems, in percent: mean ± sd over folds and seeds", head, rows)


def of_protocol(systems: Sequence[System], protocol: str) -> Table:
    """Whoever was measured by this protocol, with the UAR of each fold."""
    found = [(s, m) for s in by_strict_uar(systems) if (m := s.measured(protocol))]
    folds = sorted({m.fold.name for _, measured in found for m in measured})
    rows = []
    for system, measured in found:
        each = [[m for m in measured if m.fold.name == fold] for fold in folds]
        cells = [mean_sd(values(part, "uar")) for part in each]
        summed = [mean_sd(values(measured, figure)) for figure in ("accuracy", "uar")]
        rows.append((system.title, *summed, count(measured), *cells))
    head = ("system", "accuracy", "UAR", "folds × seeds", *(f"UAR, {fold}" for fold in folds))
    return Table(f"{protocol}, in percent", head, rows)


def robust(systems: Sequence[System]) -> list[Table]:
    """One table of whoever was tried in some conditions, if anybody was."""
    tried = {s.title: folds for s in by_strict_uar(systems) if (folds := s.robustness)}
    return [robustness.table(tried)] if tried else []


def protocols(system: System) -> Table:
    """Every protocol and kind of one system."""
    rows = []
    for protocol in system.protocols:
        for kind in system.kinds:
            if measured := system.measured(protocol, kind):
                cells = [mean_sd(values(measured, f)) for f in ("accuracy", "uar", "ece")]
                seeds = seed_means(measured, "uar")
                spread = percent(float(np.std(seeds, ddof=1))) if len(seeds) > 1 else NONE
                rows.append((protocol, kind, *cells, spread, count(measured)))
    head = ("protocol", "kind", "accuracy", "UAR", "ECE", "sd of the seeds' UAR", "folds × seeds")
    return Table("In percent: mean ± sd over folds and seeds", head, rows)


def of_classes(pool: Pool) -> Table:
    """Precision, recall and F1 of each label, all folds together."""
    found = per_class(pool.probabilities, pool.truth)
    rows = [
        (label, *(percent(value) for value in row[:3]), f"{row[3]:.0f}")
        for label, row in zip(pool.labels, found, strict=True)
    ]
    means = np.nan_to_num(found[found[:, 3] > 0, :3]).mean(axis=0)
    rows.append(("mean", *(percent(value) for value in means), f"{found[:, 3].sum():.0f}"))
    head = ("emotion", "precision", "recall", "F1", "clips")
    return Table("By emotion, in percent; clips of all seeds", head, rows)


def of_sexes(pool: Pool) -> Table:
    rows = []
    for sex, said in by_group(pool.sexes, pool.probabilities, pool.truth).items():
        own = pool.sexes == sex
        speakers = len(np.unique(pool.speakers[own]))
        cells = percent(said["accuracy"]), percent(said["uar"]), str(speakers), str(own.sum())
        rows.append((sex, *cells))
    return Table(
        "By sex, in percent; clips of all seeds",
        ("sex", "accuracy", "UAR", "speakers", "clips"),
        rows,
    )


def searches(system: System) -> list[Table]:
    """Grid searches: the best candidates of one, or the winners where each fold had its own."""
    found = {
        where or part: search
        for where, content in system.kept("search.json").items()
        for part, search in ({"": content} | content).items()
        if isinstance(search, dict) and search.get("results")
    }
    head = ("parameters", "mean ± sd")
    if len(found) > 1:
        winners = [(where, *_candidate(_ranked(search)[0])) for where, search in found.items()]
        return [Table("Grid search, best of each fold, in percent", ("fold", *head), winners)]
    return [
        Table(
            f"Grid search, {search.get('scoring', 'score')} in percent, "
            f"best {len(_ranked(search)[:_CANDIDATES])} of {len(search['results'])}",
            head,
            [_candidate(result) for result in _ranked(search)[:_CANDIDATES]],
        )
        for search in found.values()
    ]


def _ranked(search: Mapping[str, Any]) -> list[dict[str, Any]]:
    # NaN, a candidate that could not be fitted, goes last.
    return sorted(search["results"], key=lambda r: -np.nan_to_num(r.get("mean", 0), nan=-9))


def _candidate(result: Mapping[str, Any]) -> tuple[str, ...]:
    parameters = ", ".join(f"{name} = {value}" for name, value in result["parameters"].items())
    spread = f" ± {percent(result['sd'])}" if "sd" in result else ""
    return parameters or "none", percent(result.get("mean")) + spread
