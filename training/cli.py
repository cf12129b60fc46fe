"""The command line of training."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from training.experiment import Experiment

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Trains, measures and converts the networks that serd runs.",
)

ConfigArgument = Annotated[Path, typer.Argument(help="A TOML file of training/configs.")]
DataOption = Annotated[
    Path | None, typer.Option(help="The folder of the corpora.", envvar="SERD_DATA")
]
RunOption = Annotated[
    Path | None, typer.Option(help="The run folder; by default runs/NAME. A run can go on.")
]


def main() -> NoReturn:
    """Run a command; expected errors are one line, exit code 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app()
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("training", "serd"):
            raise
        print(f"serd-train: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0)


@app.command()
def train(config: ConfigArgument, data: DataOption = None, run: RunOption = None) -> None:
    """Train every fold and the final network; what is trained already is kept."""
    _experiment(config, data, run).train()


@app.command()
def evaluate(config: ConfigArgument, data: DataOption = None, run: RunOption = None) -> None:
    """Measure the trained folds, in float32 and int8, by the daemon's own code."""
    results = _experiment(config, data, run).evaluate()
    for kind, figures in results.items():
        for name in ("accuracy", "uar", "ece"):
            print(f"{kind} {name}: {figures[name]['mean']:.3f} ± {figures[name]['sd']:.3f}")


@app.command()
def reproduce(
    config: ConfigArgument,
    data: DataOption = None,
    run: RunOption = None,
    models: Annotated[Path, typer.Option(help="Where the bundle goes.")] = Path("models"),
) -> None:
    """Train, measure, convert, and write the bundle."""
    experiment = _experiment(config, data, run)
    experiment.train()
    metrics = experiment.evaluate()
    name = _name(config)
    experiment.bundle(models / name, metrics)
    print(f"{models / name}")


def _name(config: Path) -> str:
    from training.config import load

    return load(config).name


def _experiment(config: Path, data: Path | None, run: Path | None) -> "Experiment":
    from training.config import load
    from training.corpora.clip import CorpusError
    from training.experiment import Experiment

    if data is None:
        raise CorpusError("no data: name the folder of the corpora with --data or SERD_DATA")
    loaded = load(config)
    command = shlex.join(["serd-train", *sys.argv[1:]])
    return Experiment(
        loaded, data, run or Path("runs") / loaded.name, Path(".cache/features"), command
    )


if __name__ == "__main__":
    main()
