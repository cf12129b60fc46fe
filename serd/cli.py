"""The command line."""

import json
import logging
import os
import sys
import traceback
from contextlib import ExitStack, suppress
from typing import Annotated, NoReturn

import typer

from serd import __version__, cli_config, cli_files, cli_service, cli_status, log
from serd.cli_options import BrokerOption, ConfigOption, DenoiseOption, ModelOption, mode

_INTERRUPTED = 130
"""What every shell knows a program by that Ctrl+C has ended."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Recognises emotions in speech and publishes them over MQTT.",
)
app.add_typer(cli_config.app, name="config", help="Write or check a configuration.")


def main() -> NoReturn:
    """Run a command; end with 0 all done, 1 some input failed, 2 wrong usage or configuration.

    With 130 after Ctrl+C, from typer where no command knows better.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed; no file that we open must take its place
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # file names
    # Of our small products of matrices a second thread, on a busy machine, only delays the first.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except Exception as error:  # noqa: BLE001 # the last resort of the whole program
        _discard_stdout()
        if "--debug" in sys.argv:
            traceback.print_exc()
        elif not isinstance(error, BrokenPipeError):
            print(log.line(log.one_line(error)), file=sys.stderr)
        sys.exit(1 if isinstance(error, OSError) else 2)
    sys.exit(0)


def _discard_stdout() -> None:
    """Nobody reads it any more, or its disk is full: let nothing fail because of that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"serd {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print it and end."),
    ] = False,
) -> None:
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING
    log.begin(level)


@app.command()
def run(
    config: ConfigOption = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="NAME=SPEC: default, a device, file:PATH[?speed=max] or exec:COMMAND."),
    ] = None,
    broker: BrokerOption = None,
    model: ModelOption = None,
    denoise: DenoiseOption = None,
    once: Annotated[bool, typer.Option("--once", help="End after the last file.")] = False,
) -> None:
    """Listen, recognise and publish; SIGHUP reads the configuration again."""
    from serd import heap
    from serd.service import Service
    from serd.settings import Settings, SettingsError, load
    from serd.terminal import shown_events

    heap.keep_flat()
    named = [item.partition("=") for item in source or []]
    for name, equals, _ in named:
        if not equals:
            raise SettingsError(f"--source {name}: not NAME=SPEC")
    sources = {name: spec for name, _, spec in named} or None
    if len(sources or {}) < len(named):
        raise SettingsError("--source: two have the same name")
    mqtt = {"broker": broker} if broker else None

    def read() -> Settings:
        return load(config, sources=sources, mqtt=mqtt, model=model, denoise=mode(denoise))

    reloads = config is not None and not os.isatty(0)  # there SIGHUP says that it was closed
    with ExitStack() as stack:
        service = Service(read, once=once, reloads=reloads, on_event=shown_events(stack))
        well = service.run()
    if service.interrupted:
        raise typer.Exit(_INTERRUPTED)
    if not well:
        raise typer.Exit(1)


app.command()(cli_service.install_service)
app.command()(cli_files.classify)
app.command()(cli_files.enroll)
app.command("denoise")(cli_files.denoise_file)
app.command()(cli_status.status)


@app.command()
def watch(
    broker: BrokerOption = None,
    config: ConfigOption = None,
    until_offline: Annotated[
        bool, typer.Option("--until-offline", help="End when a node that was online leaves.")
    ] = False,
) -> None:
    """Print events as they arrive at a subscriber of the broker."""
    from serd.settings import load
    from serd.subscriber import Subscriber
    from serd.terminal import event_line

    mqtt = load(config, mqtt={"broker": broker} if broker else None).mqtt
    seen = set()
    for message in Subscriber(mqtt).messages():
        if not isinstance(message, tuple):
            with suppress(ValueError, TypeError, AttributeError, OverflowError):  # not from serd
                print(event_line(message), flush=True)
            continue
        node, online = message
        if online or node in seen:
            print(f"{node} is {'online' if online else 'offline'}", flush=True)
        if online:
            seen.add(node)
        elif until_offline and node in seen:
            return


@app.command()
def devices() -> None:
    """List the microphones: what to write into a configuration first, * the default."""
    from serd.capture import devices as found

    microphones = found()
    if not microphones:
        print("serd: no microphones", file=sys.stderr)
    width = max((len(device.spec) for device in microphones), default=0)
    for device in microphones:
        mark = "*" if device.is_default else " "
        sound = f"{device.channels} ch  {device.sample_rate:6} Hz"
        print(f"{mark} {device.spec:{width}}  {sound}  {device.name}")


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Show this one's card.")] = None,
) -> None:
    """List the models, or show one's card."""
    from serd.bundle import BundleError, Card, available, find, read_any_card

    if name is not None:
        print(json.dumps(read_any_card(find(name)).model_dump(mode="json"), indent=2))
        return
    paths = available()
    if not paths:
        raise BundleError("no models are installed")
    for path in paths:
        card = read_any_card(path)
        size_kb = (path / "model.tflite").stat().st_size // 1000
        what = ", ".join(card.labels) if isinstance(card, Card) else "takes noise out"
        print(f"{path.name:<14} {card.version:<8} {size_kb:5} kB  {what}")


@app.command()
def bench(model: ModelOption = None) -> None:
    """Measure speed and memory on this machine."""
    from serd.bench import measure
    from serd.settings import load

    for line in measure(load(model=model).model):
        print(line, flush=True)


if __name__ == "__main__":
    main()
