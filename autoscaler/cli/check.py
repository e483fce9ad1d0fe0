"""`pd-autoscaler check`: says whether policies may be used, and what is wrong with those that may not."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from autoscaler.cli.exits import ExitCode
from autoscaler.config import LoadedPolicy, Problem
from autoscaler.config.load import FileReport, inspect_paths
from autoscaler.config.problems import nearest
from autoscaler.daemon.queries import service_queries
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.load import stack_names


class Output(StrEnum):
    """Form of the report."""

    TEXT = "text"
    JSON = "json"


def check(
    paths: Annotated[list[Path], typer.Argument(help="Policy files, or folders of them.", show_default=False)],
    output: Annotated[
        Output, typer.Option("--output", "-o", help="text: a line per file, problems on stderr; json: all on stdout.")
    ] = Output.TEXT,
) -> None:
    """Check scaling policies without touching anything; exit code 0 if all may be used, 2 if not."""
    reports = [_with_stack_checked(report) for report in inspect_paths(paths)]
    if output is Output.JSON:
        typer.echo(json.dumps({"files": [_record(report) for report in reports]}, indent=2, ensure_ascii=False))
    else:
        for report in reports:
            typer.echo(_line(report))
            for problem in _problems(report):
                typer.echo(str(problem), err=True)
    raise typer.Exit(ExitCode.REFUSED if any(report.errors for report in reports) else ExitCode.OK)


def _with_stack_checked(report: FileReport) -> FileReport:
    found = [problem for loaded in report.policies if (problem := _stack_problem(loaded)) is not None]
    return replace(report, errors=(*report.errors, *found))


def _stack_problem(loaded: LoadedPolicy) -> Problem | None:
    """Why the stack cannot serve the policy: it does not exist, or a query of the policy does not fit it."""
    name, known, file = loaded.policy.spec.stack, stack_names(), str(loaded.file)
    if name not in known:
        message = "is no stack that this version knows"
        return Problem("spec.stack", message, name, ", ".join(known), nearest(name, known), file, loaded.line)
    try:
        service_queries(loaded.policy)
    except StackError as error:
        return Problem("spec", f"does not fit stack {name}: {error}", file=file, line=loaded.line)
    return None


def _problems(report: FileReport) -> list[Problem]:
    return [*report.errors, *(warning for loaded in report.policies for warning in loaded.warnings)]


def _line(report: FileReport) -> str:
    counts = Counter(problem.severity.value for problem in _problems(report))
    found = ", ".join(f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in counts.items())
    verdict = "refused" if report.errors else f"ok, {', '.join(_services(report))}"
    return f"{report.file}: {verdict}{f' ({found})' if found else ''}"


def _services(report: FileReport) -> list[str]:
    return [loaded.policy.service for loaded in report.policies]


def _record(report: FileReport) -> dict[str, Any]:
    return {
        "file": str(report.file),
        "ok": not report.errors,
        "services": _services(report),
        "problems": [asdict(problem) for problem in _problems(report)],
    }
