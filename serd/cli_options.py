"""The command line: options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Denoise(StrEnum):
    """Whether noise is taken out before the emotion is recognised."""

    auto = "auto"
    on = "on"
    off = "off"


ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="A TOML file.")]
BrokerOption = Annotated[
    str | None, typer.Option(help="mqtt://HOST[:PORT], mqtts://HOST[:PORT], embedded or none.")
]
ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="A name that `serd models` lists, or a folder.")
]
DenoiseOption = Annotated[
    Denoise | None, typer.Option(help="Take noise out of noisy utterances, of all, of none.")
]


def mode(denoise: Denoise | None) -> dict[str, str] | None:
    """The table `[denoise]` that an option asks for."""
    return {"mode": denoise.value} if denoise else None
