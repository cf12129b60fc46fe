"""The command line: `serd status`."""

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from serd.cli_options import BrokerOption, ConfigOption


class Format(StrEnum):
    """Of what `serd status` prints."""

    table = "table"
    json = "json"


def status(
    node: Annotated[
        str | None, typer.Argument(help="Of which machine; by default the configuration's.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.table,
    broker: BrokerOption = None,
    config: ConfigOption = None,
) -> None:
    """Say how a running daemon is, as its broker knows it.

    Exit code 0: it is online, all its sources are, it has told its health lately, and it can keep
    events; 1: not so, or no broker answers, or the broker does not know it; 2: wrong usage or
    configuration.
    """
    from serd.settings import load
    from serd.status import UnknownNodeError, ask
    from serd.status_table import print_status
    from serd.subscriber import NoAnswerError

    settings = load(config, node=node, mqtt={"broker": broker} if broker else None)
    try:
        found = ask(settings)
    except (NoAnswerError, UnknownNodeError) as error:
        print(f"serd: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    if output is Format.json:
        print(json.dumps(found.as_dict()))
    else:
        print_status(found)
    if found.problems:
        raise typer.Exit(1)
