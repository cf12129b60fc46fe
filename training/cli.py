"""The command line of training."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, cast, get_args

import typer

from training import provenance

if TYPE_CHECKING:
    from training.config import Config
    from training.experiment import Experiment
    from training.report import Denoisers, System

_CACHE = Path(".cache/features")
_INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Trains, measures and converts the networks that serd runs.",
)

ConfigArgument = Annotated[
    str, typer.Argument(help="A TOML file, or the name of one in training/configs.")
]
DataOption = Annotated[
    Path | None, typer.Option(help="The folder of the corpora.", envvar="SERD_DATA")
]
RunOption = Annotated[
    Path | None,
    typer.Option(help="The run folder, by default runs/NAME; classical systems make NAME in it."),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        help="Pretrained weights: a file (also below the data), imagenet (Keras' cache), or none."
    ),
]
ModelsOption = Annotated[Path, typer.Option(help="Where bundles go.")]


def main() -> NoReturn:
    """Run a command; expected errors are one line, exit code 2."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in serd.cli
    # Of a missing GPU and of functions traced again; what matters is raised.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        app()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print("serd-train: interrupted; the same command goes on from there", file=sys.stderr)
        raise
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is missing: pip install 'serd[training]'")
    except OSError as error:
        from serd.wording import reason

        _fail(f"{error.filename}: {reason(error)}" if error.filename else reason(error))
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("training", "serd"):
            raise
        _fail(str(error))
    sys.exit(0)


def _fail(why: str) -> NoReturn:
    print(f"serd-train: {why}", file=sys.stderr)
    sys.exit(2)


@app.command()
def prepare(
    data: DataOption = None,
    output: Annotated[Path | None, typer.Option(help="Where the audio goes.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default all cores.")
    ] = None,
) -> None:
    """Turn CREMA-D's spectrograms into audio, once; what is there already is kept."""
    from training.prepare import prepare as make

    print(make(_data(data), output, jobs))


@app.command()
def train(
    config: ConfigArgument,
    data: DataOption = None,
    run: RunOption = None,
    weights: WeightsOption = None,
) -> None:
    """Train every split and the final network; a run that was cut off goes on."""
    _experiment(config, data, run, weights).train()


@app.command()
def evaluate(
    config: ConfigArgument,
    data: DataOption = None,
    run: RunOption = None,
    weights: WeightsOption = None,
) -> None:
    """Measure the trained splits by the daemon's own code, as trained and as published."""
    from training.examination import examine
    from training.tables import mean_sd

    experiment = _experiment(config, data, run, weights)
    for protocol, kinds in experiment.evaluate().items():
        for kind, figures in kinds.items():
            said = ", ".join(
                f"{name} {mean_sd(figures[name]['folds'])}" for name in ("accuracy", "uar", "ece")
            )
            print(f"{protocol}, {kind}: {said}")
    examine(experiment)


@app.command()
def tune(
    config: ConfigArgument,
    data: DataOption = None,
    run: RunOption = None,
    weights: WeightsOption = None,
    storage: Annotated[
        str | None, typer.Option(help="A database URL to share; by default a file in the run.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="How many more to make.")] = 20,
    folds: Annotated[int, typer.Option(min=1, help="How many folds judge a trial.")] = 2,
) -> None:
    """Search the settings that the configuration's [tune] names; a search can go on."""
    from training import configurations
    from training.tune import search

    loaded = configurations.network(config, weights)
    folder = _folder(loaded, run)
    folder.mkdir(parents=True, exist_ok=True)
    study = search(
        loaded,
        _of(loaded, data, run).recordings,
        _data(data),
        folder,
        storage or f"sqlite:///{folder / 'tune.db'}",
        trials,
        folds,
    )
    print(f"best: UAR {100 * study.best_value:.1f} of validation speakers, whom other folds test")
    for name, value in study.best_trial.user_attrs["drawn"].items():
        print(f"{name} = {value}")


@app.command()
def convert(
    config: ConfigArgument,
    kind: Annotated[str, typer.Option(help="float32, float16, dynamic or int8.")],
    output: Annotated[Path, typer.Option(help="The bundle's folder.")],
    data: DataOption = None,
    run: RunOption = None,
    weights: WeightsOption = None,
) -> None:
    """Make a bundle of another kind of the trained final network, with its parity."""
    from training.convert import ConversionError, Kind

    if kind not in get_args(Kind):
        raise ConversionError(f"{kind}: not one of {', '.join(get_args(Kind))}")
    _experiment(config, data, run, weights).bundle(output, cast(Kind, kind), {})
    print(output)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    output: Annotated[Path, typer.Option(help="The page's folder.")] = Path("report"),
    results: Annotated[
        Path | None,
        typer.Option(help="Add the tables to this Markdown, which keeps what other runs left."),
    ] = None,
    data: DataOption = None,
) -> None:
    """Write one HTML page of all runs, and its pictures as PNG files."""
    from training.report import write_results

    systems, studies = _report(runs, output, data)
    if results:
        write_results(results, systems, studies)


@app.command()
def reproduce(
    config: ConfigArgument,
    data: DataOption = None,
    run: RunOption = None,
    models: ModelsOption = Path("models"),
    weights: WeightsOption = None,
) -> None:
    """Train, measure, convert; write the bundle and a report. Classical systems get no bundle."""
    from training import configurations

    path = configurations.find(config)
    kind = configurations.kind(path)
    if kind == "denoiser":
        from training.denoising import config as denoising
        from training.denoising.study import Denoising

        loaded_denoising = denoising.load(path)
        folder = run or Path("runs") / loaded_denoising.name
        asked = [configurations.network(name) for name in loaded_denoising.classifiers]
        own = Denoising(loaded_denoising, _data(data), folder, _CACHE, _command())
        output = models / loaded_denoising.name
        own.reproduce([_of(c, data, folder.parent / c.name) for c in asked], output)
        print(output)
        _report([folder], folder / "report", None)
        return
    if kind == "classical":
        from training.classical import config as classical
        from training.classical import study

        loaded_study = classical.load(path)
        runs = run or Path("runs")
        made = study.reproduce(loaded_study, _data(data), runs, _CACHE, _command())
        _report(made, runs / loaded_study.name / "report", data)
        return
    from training import bundling
    from training.examination import examine

    loaded = configurations.network(config, weights)
    output = models / loaded.name
    bundling.check_output(output)  # not after hours of training
    experiment = _of(loaded, data, run)
    experiment.train()
    metrics = {**experiment.evaluate(), **examine(experiment)}
    experiment.bundle(output, loaded.conversion.kind, metrics)
    experiment.note_cost()
    print(output)
    folder = _folder(loaded, run)
    _report([folder], folder / "report", data)


def _data(data: Path | None) -> Path:
    from training.corpora.clip import CorpusError

    if data is None:
        raise CorpusError("no data: name the folder of the corpora with --data or SERD_DATA")
    return data


def _experiment(
    config: str, data: Path | None, run: Path | None, weights: str | None
) -> "Experiment":
    from training import configurations

    return _of(configurations.network(config, weights), data, run)


def _of(config: "Config", data: Path | None, run: Path | None) -> "Experiment":
    from training.experiment import Experiment

    return Experiment(config, _data(data), _folder(config, run), _CACHE, _command())


def _folder(config: "Config", run: Path | None) -> Path:
    return run or Path("runs") / config.name


def _report(
    runs: Sequence[Path], output: Path, data: Path | None
) -> "tuple[list[System], list[Denoisers]]":
    """Write the page; with the data, it also shows the sound of the first run's corpora."""
    from training import corpora, report
    from training.corpora.clip import CorpusError

    systems, studies = report.read(runs)
    clips = []
    try:
        for name in systems[0].corpora if data and systems else ():
            clips += corpora.load(name, data or Path())
    except CorpusError as error:
        print(f"serd-train: no sounds are shown: {error}", file=sys.stderr)
    print(report.write(systems, output, clips, studies))
    return systems, studies


def _command() -> str:
    return provenance.command(sys.argv[1:])


if __name__ == "__main__":
    main()
