"""The command line: `pd-autoscaler`, also `python -m autoscaler`.

Data goes to stdout, logs and messages to stderr; the exit codes are those of `ExitCode`.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from autoscaler import __version__
from autoscaler.cli.commands import CommandGroup
from autoscaler.cli.exits import CliError
from autoscaler.cli.streams import sound_streams

app = typer.Typer(
    name="pd-autoscaler",
    cls=CommandGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Exit codes: 0 no change needed, 10 a change is recommended, 1 output not written, 2 bad policy or usage, "
        "3 signals unhealthy."
    ),
)


_COMMIT = "PD_AUTOSCALER_COMMIT"  # the image knows what it was built from


def _print_version(wanted: bool) -> None:
    if wanted:
        commit = os.environ.get(_COMMIT)
        typer.echo(f"pd-autoscaler {__version__}{f' (commit {commit})' if commit else ''}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """SLO-driven autoscaler for LLM serving with prefill and decode apart."""


def main() -> None:
    """Run the command line; expected errors end it with one message and no traceback."""
    with sound_streams():
        try:
            app(prog_name="pd-autoscaler")
        except CliError as error:
            typer.echo(f"error: {error}", err=True)
            sys.exit(error.code)
