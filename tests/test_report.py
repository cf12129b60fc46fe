"""The report: its numbers are those of the scores, and its page needs nothing beside it."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile

pytest.importorskip("matplotlib", reason="needs the extra training")
pytest.importorskip("sklearn", reason="needs the extra training")

from matplotlib.image import imread

from serd.classifier import softmax
from training import evaluate
from training.corpora.clip import Clip
from training.report import ReportError, System, measures, write, write_results
from training.report.tables import searches
from training.runs import Scores

from . import tiny_corpus

LABELS = ("calm", "happy", "angry")
SILENT = -1
# truth → heard as; UAR 2/3, accuracy 5/7
HALF_RIGHT = [(0, 0), (0, 1), (1, 1), (1, SILENT), (2, 2), (2, 2), (2, 2)]
ALL_RIGHT = [(0, 0), (1, 1), (2, 2), (2, 2)]


def put(run: Path, protocol: str, seed: int, fold: str, clips: list[tuple[int, int]]) -> Path:
    """A fold in which each clip was heard as told, with a confidence of 0.8."""
    rows = np.full((len(clips), len(LABELS)), 0.1, np.float32)
    for row, (_, heard) in zip(rows, clips, strict=True):
        row[:] = 0 if heard == SILENT else row
        if heard != SILENT:
            row[heard] = 0.8
    folder = run / protocol / f"seed-{seed}" / fold
    folder.mkdir(parents=True)
    Scores(
        LABELS,
        tuple(f"{i}.wav" for i in range(len(clips))),
        ("tiny",) * len(clips),
        tuple(f"tiny-{i % 2}" for i in range(len(clips))),
        tuple(("female", "male")[i % 2] for i in range(len(clips))),
        np.array([truth for truth, _ in clips]),
        rows,
    ).write(folder / "int8.csv")
    return folder


def facts(run: Path, **more: Any) -> Path:
    run.mkdir(parents=True, exist_ok=True)
    told = {"name": run.name, "labels": LABELS, "kind": "int8", "kinds": ["int8"]}
    (run / "run.json").write_text(json.dumps(told | more))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two folds of one seed: UAR 66.7 and 100 %."""
    folder = facts(tmp_path / "runs" / "net")
    put(folder, "subject-independent", 1, "fold-1", HALF_RIGHT)
    put(folder, "subject-independent", 1, "fold-2", ALL_RIGHT)
    return folder


def body(page: Path) -> ET.Element:
    text = page.read_text()
    inner = text[text.index("<body>") : text.index("</body>") + 7].replace("xlink:", "")
    return ET.fromstring(inner)  # noqa: S314 # our own


def table(page: ET.Element, caption: str) -> list[list[str]]:
    """The rows of the first table whose caption begins so, without the head."""
    for found in page.iter("table"):
        if "".join(found.find("caption").itertext()).startswith(caption):
            return [["".join(cell.itertext()) for cell in row] for row in found.iter("tr")][1:]
    raise AssertionError(caption)


def markdown(text: str, heading: str = "# Results") -> list[list[str]]:
    """The rows of the first table below a heading, its head first."""
    lines = text[text.index(f"{heading}\n") :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [rows[0], *rows[2:]]


def results(folder: Path, runs: list[Path]) -> str:
    """What stands in the Markdown once these are added to it."""
    write_results(folder / "RESULTS.md", [System(run) for run in runs])
    return (folder / "RESULTS.md").read_text()


def test_the_page_shows_the_figures_of_the_scores(tmp_path: Path) -> None:
    run = facts(tmp_path / "net")
    put(run, "subject-independent", 1, "fold-1", HALF_RIGHT)
    page = body(write([System(run)], tmp_path / "report"))
    assert table(page, "By emotion") == [
        ["calm", "100.0", "50.0", "66.7", "2"],
        ["happy", "50.0", "50.0", "50.0", "2"],
        ["angry", "100.0", "100.0", "100.0", "3"],
        ["mean", "83.3", "66.7", "72.2", "7"],
    ]
    # The woman's clips are 0, 2, 4 and 6, all right; the man's 1, 3 and 5, only 5 right.
    assert table(page, "By sex") == [
        ["female", "100.0", "100.0", "1", "4"],
        ["male", "33.3", "33.3", "1", "3"],
    ]
    confusion = next(f for f in page.iter("figure") if "Confusion" in f[0].get("aria-label"))
    cells = [t.text for t in confusion.iter("text") if re.fullmatch(r"\d+", t.text or "")]
    assert cells == ["50", "50", "0", "0", "0", "50", "0", "50", "0", "0", "100", "0"]
    assert "No speech was found in 1 of 7" in "".join(confusion.itertext())


def test_means_and_spreads_are_over_folds_and_seeds(run: Path, tmp_path: Path) -> None:
    put(run, "subject-independent", 2, "fold-1", HALF_RIGHT)
    put(run, "subject-independent", 2, "fold-2", HALF_RIGHT)
    page = body(write([System(run)], tmp_path / "report"))
    ((*_, accuracy, uar, _, seeds, count),) = table(page, "In percent")
    # UARs 2/3, 1 and 2/3, 2/3; means of the seeds 5/6 and 2/3
    assert (accuracy, uar) == ("78.6 ± 14.3", "75.0 ± 16.7")
    assert (seeds, count) == ("11.8", "2 × 2")
    (row,) = table(page, "All systems")
    assert row[2] == accuracy
    assert row[4] == uar


def test_results_are_sorted_and_hold_random_beside_subject_independent(tmp_path: Path) -> None:
    weak = facts(
        tmp_path / "weak",
        title="A weak | net",
        sizes={"int8": 251_400, "float32": 9},
        macs=12_400_000,
        latency_ms={"int8": {"median": 3.1, "p99": 4}},
        command="serd-train reproduce weak",
        commit="abc1234",
        machine="a box",
    )
    put(weak, "subject-independent", 1, "fold-1", HALF_RIGHT)
    put(weak, "random", 1, "fold-1", ALL_RIGHT)
    put(weak, "cross-corpus", 1, "tess", HALF_RIGHT)
    strong = facts(tmp_path / "strong")
    put(strong, "subject-independent", 1, "fold-1", ALL_RIGHT)
    runs = [weak, strong, facts(tmp_path / "none")]
    text = results(tmp_path, runs)
    head, *rows = markdown(text)
    assert head == [
        "system",
        "accuracy, random",
        "accuracy, subject-independent",
        "UAR, random",
        "UAR, subject-independent",
        "folds × seeds",
        "classes",
        "size, kB",
        "MACs",
        "latency, ms",
    ]
    dash, cost = "–", ("251", "12.4 M", "3.1 (p99 4)")
    assert rows == [
        ["strong", dash, "100.0", dash, "100.0", "1 × 1", "3", dash, dash, dash],
        ["A weak \\| net", "100.0", "71.4", "100.0", "66.7", "1 × 1", "3", *cost],
        ["none", *[dash] * 5, "3", *[dash] * 3],
    ]
    assert markdown(text, "## Cross-corpus") == [
        ["system", "accuracy", "UAR", "folds × seeds", "UAR, tess"],
        ["A weak \\| net", "71.4", "66.7", "1 × 1", "66.7"],
    ]
    made = markdown(text, "## How each row was made")
    assert made[1:] == [
        ["strong; none", *[dash] * 6],
        ["A weak \\| net", "`serd-train reproduce weak`", "abc1234", "a box", *[dash] * 3],
    ]


def test_one_note_of_several_systems_stands_once(tmp_path: Path) -> None:
    runs = [facts(tmp_path / name, notes=["copy | left out"]) for name in ("a", "b")]
    assert results(tmp_path, runs).count("- **All**: copy \\| left out") == 1
    other = facts(tmp_path / "c")
    assert results(tmp_path, [other]).count("- **a; b**: copy \\| left out") == 1


def test_results_of_runs_that_are_elsewhere_stay(tmp_path: Path) -> None:
    runs = [facts(tmp_path / name) for name in ("strong", "weak")]
    for run, said in zip(runs, (ALL_RIGHT, HALF_RIGHT), strict=True):
        put(run, "subject-independent", 1, "fold-1", said)
        put(run, "cross-corpus", 1, run.name, said)
    whole = results(tmp_path, runs)
    again = tmp_path / "again"
    assert results(again, runs[:1]) != whole
    assert results(again, runs[1:]) == whole
    assert markdown(whole, "## Cross-corpus") == [
        ["system", "accuracy", "UAR", "folds × seeds", "UAR, strong", "UAR, weak"],
        ["strong", "100.0", "100.0", "1 × 1", "100.0", "–"],
        ["weak", "71.4", "66.7", "1 × 1", "–", "66.7"],
    ]
    put(runs[1], "subject-independent", 1, "fold-2", ALL_RIGHT)
    _, *rows = markdown(results(again, runs[1:]))
    assert [(row[0], row[4]) for row in rows] == [("strong", "100.0"), ("weak", "83.3 ± 23.6")]
    (again / "results" / "weak.json").write_text("{}")
    with pytest.raises(ReportError, match=r"weak\.json: not results"):
        results(again, runs[:1])


def test_the_page_needs_nothing_beside_it(run: Path, tmp_path: Path) -> None:
    page = write([System(run)], tmp_path / "report")
    text = page.read_text()
    assert "http:" not in text
    assert "https:" not in text
    assert "<script" not in text
    assert "@import" not in text
    pictures = {p.name for p in page.parent.glob("*.png")}
    linked = set()
    ids = [e.get("id") for e in body(page).iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    for element in body(page).iter():
        assert element.get("src") is None
        target = element.get("href", "#")
        if element.tag == "a" and not target.startswith("#"):
            linked.add(target)
        elif element.tag == "image":
            assert target.startswith("data:image/png;base64,")
        elif target != "#":
            assert target[1:] in ids
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(ids)
    assert re.findall(r"url\([^#]", text) == []
    assert linked == pictures
    assert len(pictures) == 5


def test_pictures_hold_a_drawing(run: Path, tmp_path: Path) -> None:
    (run / "subject-independent" / "seed-1" / "fold-1" / "history.json").write_text(
        json.dumps({"loss": [2, 1, 0.5], "val_loss": [2, 1.5], "accuracy": [0.1, 0.2, 0.3]})
    )
    files = list(write([System(run)], tmp_path / "report").parent.glob("*.png"))
    assert any(file.stem.endswith("history") for file in files)
    for file in files:
        pixels = imread(file)
        assert pixels.shape[1] == 690
        assert len(np.unique(pixels[::4, ::4, 0])) > 10


def test_the_same_runs_give_the_same_page(run: Path, tmp_path: Path) -> None:
    pages = [write([System(run)], tmp_path / name).read_bytes() for name in ("first", "second")]
    assert pages[0] == pages[1]


def test_names_are_text_only(tmp_path: Path) -> None:
    title = '<b>$x</b> & "y"'
    run = facts(tmp_path / "net", name="a/../b", title=title, notes=["<script>alert(1)</script>"])
    put(run, "subject-independent", 1, "fold 1", ALL_RIGHT)
    page = write([System(run)], tmp_path / "report")
    assert "<script" not in page.read_text()
    assert title in [heading.text for heading in body(page).iter("h2")]
    assert title in [text.text for text in body(page).iter("text")]
    assert {p.parent for p in tmp_path.rglob("*.png")} == {page.parent}


def test_two_runs_of_one_name_keep_their_pictures(tmp_path: Path) -> None:
    runs = [facts(tmp_path / where / "net") for where in ("a", "b")]
    for run in runs:
        put(run, "subject-independent", 1, "fold-1", ALL_RIGHT)
    page = write([System(run) for run in runs], tmp_path / "report")
    names = {p.name for p in page.parent.glob("*confusion.png")}
    assert names == {f"{n}-subject-independent-confusion.png" for n in ("net", "net-2")}


def test_what_is_missing_or_broken_is_told_and_leaves_the_rest(run: Path, tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken", tmp_path / "empty"
    empty.mkdir()
    folder = put(broken, "random", 1, "fold-1", ALL_RIGHT)
    (broken / "run.json").write_text("{")
    (folder / "history.json").write_text("not JSON")
    other = put(broken, "random", 1, "fold-2", ALL_RIGHT) / "int8.csv"
    other.write_text("clip,corpus,speaker,sex,emotion,calm\n1.wav,tiny,x,male,joyful,1\n")
    page = body(write([System(path) for path in (broken, empty, run)], tmp_path / "report"))
    rows = {row[0]: row[1:5] for row in table(page, "All systems")}
    assert rows["broken"] == ["100.0", "–", "100.0", "–"]
    assert rows["empty"] == ["–"] * 4
    assert rows["net"][1] == "85.7 ± 20.2"
    told = [p.text.split(":")[0] for p in page.iter("p") if p.get("class") == "problem"]
    where = "random/seed-1"
    assert set(told) == {"run.json", f"{where}/fold-2/int8.csv", f"{where}/fold-1/history.json"}


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("")
    for name in ("photos", "nowhere", "photos/cat.jpg"):
        with pytest.raises(ReportError, match=f"^[^\n]*{name}[^\n]*run folder[^\n]*$"):
            System(tmp_path / name)


def test_an_output_that_cannot_be_written_is_one_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    with pytest.raises(ReportError, match=r"^[^\n]*index\.html: file exists$"):
        write([System(run)], tmp_path / "report")


def test_the_temperature_of_one_window_is_undone_exactly() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (50, 8))
    undone = measures.before_temperature(softmax(logits / 1.7), 1.7)
    np.testing.assert_allclose(undone, softmax(logits), atol=1e-9)
    silence = np.zeros((1, 8), np.float32)
    np.testing.assert_array_equal(measures.before_temperature(silence, 1.7), silence)


def test_calibration_is_shown_before_and_after_the_temperature(run: Path, tmp_path: Path) -> None:
    for fold in ("fold-1", "fold-2"):
        card = run / "subject-independent" / "seed-1" / fold / "int8" / "card.json"
        card.parent.mkdir()
        card.write_text(json.dumps({"temperature": 2}))
    # 10 of 11 clips have speech, 9 of them are right; after: all confidence 0.8,
    # before: 0.8² / (0.8² + 2 · 0.1²) = 0.970
    text = write([System(run)], tmp_path / "report").read_text()
    assert f"after, ECE {100 * 10 / 11 * (0.9 - 0.8):.1f} %" in text
    assert f"before, ECE {100 * 10 / 11 * (0.64 / 0.66 - 0.9):.1f} %" in text
    assert "2.00…2.00" in text


def test_calibration_error_of_bins_that_are_known() -> None:
    confidence = np.array([0.95, 0.95, 0.65, 0.65, 0.65, 0.65])
    correct = np.array([True, False, True, True, True, False])
    # Two bins: |0.5 - 0.95| of a third, |0.75 - 0.65| of the rest.
    expected = 0.45 / 3 + 0.1 * 2 / 3
    assert evaluate.calibration_error(confidence, correct) == pytest.approx(expected)


def test_risk_and_coverage_of_four_clips() -> None:
    found = measures.risk_coverage(
        np.array([0.7, 0.9, 0.6, 0.8]), np.array([True, True, False, False])
    )
    np.testing.assert_allclose(found.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.risk, [0, 1 / 2, 1 / 3, 1 / 2])
    assert found.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_the_order_of_equal_confidences_does_not_matter() -> None:
    confidence = np.array([0.8, 0.5, 0.5, 0.5])
    for correct in ([True, True, False, False], [True, False, False, True]):
        found = measures.risk_coverage(confidence, np.array(correct))
        np.testing.assert_allclose(found.risk, [0, 1 / 3, 4 / 9, 1 / 2])


def test_searches_and_curves_are_shown(run: Path, tmp_path: Path) -> None:
    results = [
        {"parameters": {"C": 1}, "mean": 0.5, "sd": 0.02},
        {"parameters": {"C": 10}, "mean": 0.6, "sd": 0.01},
    ]
    search = {"scoring": "UAR", "results": results, "best": {"C": 10}}
    fold = run / "subject-independent" / "seed-1" / "fold-1"
    (fold / "search.json").write_text(json.dumps(search))
    parts = {"train": [[0.5, 0.6]] * 3, "test": [[0.4, 0.5]] * 3}
    curves = {
        "validation": {"parameter": "C", "values": [0.1, 1, 100], **parts},
        "learning": {"sizes": [100, 200, 300], **parts},
    }
    (run / "curves.json").write_text(json.dumps(curves))
    page = write([System(run)], tmp_path / "report")
    assert table(body(page), "Grid search, UAR") == [
        ["C = 10", "60.0 ± 1.0"],
        ["C = 1", "50.0 ± 2.0"],
    ]
    drawn = {p.name for p in page.parent.glob("net-*-curve-1.png")}
    assert drawn == {"net-validation-curve-1.png", "net-learning-curve-1.png"}
    (fold.parent / "fold-2" / "search.json").write_text(json.dumps(search))
    (winners,) = searches(System(run))
    where = "subject-independent/seed-1"
    assert winners.rows == [(f"{where}/fold-{n}", "C = 10", "60.0 ± 1.0") for n in (1, 2)]


def test_one_clip_of_each_emotion_is_drawn(tmp_path: Path) -> None:
    clips = []
    for emotion, take in (("sad", 1), ("sad", 2), ("neutral", 1)):
        path = tmp_path / f"{emotion}-{take}.wav"
        soundfile.write(path, tiny_corpus.sentence(1, 1, take), tiny_corpus.RATE)
        clips.append(Clip(path, "tiny", emotion, "tiny-1", "male"))
    broken = tmp_path / "broken.wav"
    broken.write_text("no sound")
    clips.append(Clip(broken, "tiny", "angry", "tiny-1", "male"))
    page = write([], tmp_path / "report", clips)
    (section,) = (s for s in body(page).iter("section") if s.get("id") == "sounds")
    captions = [c.text for c in section.iter("figcaption")]
    assert [caption.split()[1] for caption in captions] == ["neutral-1.wav", "sad-1.wav"]
    (problem,) = (p for p in section.iter("p") if p.get("class") == "problem")
    assert "broken.wav" in problem.text
    assert {p.stem for p in page.parent.glob("sound-*.png")} == {"sound-neutral", "sound-sad"}
