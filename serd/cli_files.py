"""The command line: what is done with sound files."""

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from serd.cli_options import ConfigOption, DenoiseOption, ModelOption, mode


class Format(StrEnum):
    """Of what `serd classify` prints."""

    table = "table"
    jsonl = "jsonl"
    csv = "csv"


def classify(
    files: Annotated[list[Path], typer.Argument(help="Sound files.", readable=False)],
    model: ModelOption = None,
    denoise: DenoiseOption = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="none|file|running|all|NAME",
            help="Whose voice it is held against: nobody's, the file's own, that of who spoke"
            " before in these files, all files' as one speaker's, or that of somebody enrolled.",
        ),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.table,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the first file's sound and emotions into this PNG.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Files at a time.")] = 1,
    config: ConfigOption = None,
) -> None:
    """Recognise the emotions in sound files."""
    from serd import terminal
    from serd.batch import classify_files
    from serd.bundle import find, read_card
    from serd.settings import load

    adaptation = {"baseline": baseline} if baseline else None
    settings = load(config, model=model, denoise=mode(denoise), adaptation=adaptation)
    card = read_card(find(settings.model))
    reports: dict[Format, Callable[[], terminal.Report]] = {
        Format.jsonl: terminal.JsonReport,
        Format.csv: lambda: terminal.CsvReport(card.labels),
        Format.table: lambda: terminal.TextReport(files),
    }
    results = classify_files(files, settings, jobs)
    shown = sys.stderr.isatty() and len(files) > 1
    report = None
    failed = 0
    for path, result in terminal.progress(results, len(files), shown):
        report = report or reports[output]()
        if isinstance(result, Exception):
            failed += 1
            print(f"serd: {terminal.printable(path)}: {result}", file=sys.stderr)
            continue
        report.print(result)
        if plot is not None:
            from serd.plot import draw

            draw(result, plot)
            plot = None
    if failed:
        raise typer.Exit(1)


def enroll(
    name: Annotated[str, typer.Argument(help="Who speaks.")],
    files: Annotated[list[Path], typer.Argument(help="Recordings of this voice.", readable=False)],
    model: ModelOption = None,
    config: ConfigOption = None,
) -> None:
    """Get used to a voice, for `--baseline NAME` and `[adaptation]`."""
    from serd import voices
    from serd.baseline import Baseline
    from serd.batch import hear_files
    from serd.bundle import find, read_card
    from serd.recording import Heard
    from serd.settings import load
    from serd.terminal import printable

    settings = load(config, model=model)
    target = voices.file_of(name, settings)
    card = read_card(find(settings.model))
    if card.adaptation is None:
        raise voices.VoicesError(f"{card.id}: it gets used to nobody; another model does")
    heard = []
    for path, result in hear_files(files, settings):
        if isinstance(result, Heard):
            heard.append(result)
        else:
            print(f"serd: {printable(path)}: {result}", file=sys.stderr)
    said = [embedding for one in heard for embedding in one.embeddings]
    if said:
        voices.write(target, card, [Baseline.of(card.adaptation, said)])
        plural = "s" if len(said) > 1 else ""
        print(f"{name}: {len(said)} utterance{plural}, {sum(one.seconds for one in heard):.1f} s")
    else:
        print(f"serd: {name}: no speech to get used to", file=sys.stderr)
    if len(heard) < len(files) or not said:
        raise typer.Exit(1)


def denoise_file(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A sound file.", readable=False)],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="A .wav, .flac or .ogg to write.", readable=False)
    ],
    config: ConfigOption = None,
) -> None:
    """Take the noise out of a sound file; what is written is mono at 16 kHz."""
    from serd import audio, bundle, denoiser
    from serd.settings import load
    from serd.terminal import printable

    if source.exists() and target.exists() and target.samefile(source):
        raise audio.OutputError(f"{printable(target)}: is what is to be read, too")
    loaded = denoiser.load(bundle.find(load(config).denoise.model))
    try:
        audio.write_blocks(target, loaded.blocks(audio.read_blocks(source)))
    except audio.AudioError as error:
        print(f"serd: {printable(source)}: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
