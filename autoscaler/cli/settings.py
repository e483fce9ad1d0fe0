"""The option `--settings`, and the file behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoscaler.cli.exits import CliError
from autoscaler.cli.options import named_path
from autoscaler.daemon.settings_file import FileSettings, SettingsError, load_settings

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", metavar="FILE", help="Budgets that services share, and webhooks to tell.", parser=named_path
    ),
]


def file_settings(path: Path | None) -> FileSettings:
    """What a settings file says; without one nothing.

    Raises:
        CliError: It cannot be used.
    """
    try:
        return load_settings(path) if path is not None else FileSettings()
    except SettingsError as error:
        raise CliError(str(error)) from error
