"""The command line: `serd config`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("init")
def init(
    path: Annotated[
        Path | None, typer.Argument(help="Where to; by default to stdout, as for -.")
    ] = None,
) -> None:
    """Write a configuration with every key, its default and its meaning."""
    from serd.settings import SettingsError
    from serd.template import template
    from serd.wording import reason

    if path is None or path == Path("-"):
        print(template(), end="")
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template())
    except OSError as error:
        raise SettingsError(f"{path}: {reason(error)}") from error


@app.command("check")
def check(path: Annotated[Path, typer.Argument(help="A TOML file.")]) -> None:
    """Say whether a configuration can be used."""
    from serd.check import check as usable
    from serd.check import visible
    from serd.settings import SettingsError, load

    settings = load(path)
    seen, hidden = visible(settings)
    try:
        card = usable(seen)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error
    baseline = settings.adaptation.baseline or "running"
    sources = ", ".join(settings.sources)
    print(
        f"{path}: good. Sources: {sources}. Model: {card.id}."
        f" Denoiser: {settings.denoise.mode}. Baseline: {baseline}."
        f" Broker: {settings.mqtt.broker}"
    )
    for key in hidden:
        name = getattr(settings.mqtt, key)
        told = "no such file here; only the service can tell whether it is a credential of systemd"
        print(f"mqtt.{key}: {name}: {told}")
