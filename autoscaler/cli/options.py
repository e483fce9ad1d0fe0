"""Options that several commands share, declared once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from autoscaler.cli.exits import CliError


def named_path(text: str) -> Path:
    """A path of the command line.

    Raises:
        typer.BadParameter: It is empty, and would be the folder that one happens to be in.
    """
    if not text:
        raise typer.BadParameter("an empty path would be the folder you are in: is a variable of the shell unset?")
    return Path(text)


PolicyArguments = Annotated[
    list[Path] | None,
    typer.Argument(metavar="POLICY", help="Policy files, or folders of them.", show_default=False, parser=named_path),
]
PolicyOptions = Annotated[
    list[Path] | None,
    typer.Option(
        "--policy", "-p", metavar="FILE|DIR", help="The same as an option; may be repeated.", parser=named_path
    ),
]
PrometheusUrl = Annotated[
    str | None, typer.Option("--prometheus", metavar="URL", help="Prometheus to ask, in place of the policies'.")
]
Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig", metavar="FILE", help="Kubeconfig; else KUBECONFIG, the pod's account, ~/.kube/config."
    ),
]
KubeContext = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Context in the kubeconfig; else its current one.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of everything random: the same seed gives the same numbers.")]


def is_given(context: typer.Context, parameter: str) -> bool:
    """Whether an option was written on the command line, its default value included."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def policy_paths(arguments: Iterable[Path] | None, options: Iterable[Path] | None) -> list[Path]:
    """The policy files that were named, in either way.

    Raises:
        CliError: None was named.
    """
    paths = [*(arguments or ()), *(options or ())]
    if not paths:
        raise CliError("no policy is named: pass a file or a folder, as in --policy llama-70b.yaml")
    return paths
