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
from autoscaler.cli.options import named_path
from autoscaler.config import Problem, ScalingPolicy
from autoscaler.config.load import FileReport, inspect_paths
from autoscaler.config.problems import Severity
from autoscaler.daemon.holds import HoldError, with_holds
from autoscaler.daemon.stack_check import stack_problems


class Output(StrEnum):
    """Form of the report."""

    TEXT = "text"
    JSON = "json"


def check(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="POLICY", help="Policy files, or folders of them.", show_default=False, parser=named_path
        ),
    ],
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
    """The report, with what each policy's stack does not bear."""
    policies, errors = [], list(report.errors)
    for loaded in report.policies:
        found = [
            replace(problem, file=str(loaded.file), line=loaded.line)
            for problem in (*stack_problems(loaded.policy), *_hold_problems(loaded.policy))
        ]
        errors += [problem for problem in found if problem.severity is Severity.ERROR]
        doubts = (problem for problem in found if problem.severity is not Severity.ERROR)
        policies.append(replace(loaded, warnings=(*loaded.warnings, *doubts)))
    return replace(report, policies=tuple(policies), errors=tuple(errors))


def _hold_problems(policy: ScalingPolicy) -> list[Problem]:
    try:
        with_holds(policy.core(), policy.metadata.annotations)
    except HoldError as error:
        return [Problem("metadata.annotations", str(error))]
    return []


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
