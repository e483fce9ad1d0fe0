"""`stacks`: the serving stacks that this version knows, and what is known of each."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from autoscaler.cli.exits import CliError
from autoscaler.config.files import read_named
from autoscaler.config.load import SUFFIXES
from autoscaler.core.signals import unit_of
from autoscaler.stacks.candidates import CandidateModel, Kind, SignalModel
from autoscaler.stacks.dialects import Dialect, Stack
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.load import load_stack, read_stack, stack_names
from autoscaler.targets.kubernetes.specs.load import load_spec
from autoscaler.targets.kubernetes.specs.problems import SpecError
from autoscaler.targets.kubernetes.switches.load import load_switch

_WIDTH = 100


class Action(StrEnum):
    """What to do with a stack."""

    SHOW = "show"


def stacks(
    action: Annotated[
        Action | None, typer.Argument(help="show: tell all of one stack. Without it, list them.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME|FILE", help="Name of a stack, or a stack file.", show_default=False)
    ] = None,
    queries: Annotated[bool, typer.Option("--queries", "-q", help="With the expressions behind each signal.")] = False,
) -> None:
    """List the serving stacks, or tell what is known of one: signals, targets, switch, limits, what is unverified."""
    if action is None:
        if queries:
            raise CliError("--queries goes with show: name a stack, as in stacks show vllm --queries")
        typer.echo("\n".join(_list(load_stack(known) for known in stack_names())))
        return
    if name is None:
        raise CliError(f"stacks show: which one? There are {', '.join(stack_names())}")
    try:
        text = "\n".join(shown(_stack(name), queries=queries))
    except (StackError, SpecError) as error:
        raise CliError(str(error)) from error
    typer.echo(text)


def _stack(name: str) -> Stack:
    """A stack by name, or behind a path."""
    path = Path(name)
    is_path = len(path.parts) > 1 or path.suffix in SUFFIXES
    return read_stack(read_named(path)) if is_path else load_stack(name)


def _list(found: Iterable[Stack]) -> Iterator[str]:
    rows = [("STACK", "WHAT", "NAMES BEGIN WITH", "TARGETS")]
    rows += [
        (
            stack.name,
            stack.title,
            " ".join(dialect.name for dialect in stack.dialects),
            " ".join(stack.facts.targets),
        )
        for stack in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def shown(stack: Stack, *, queries: bool) -> Iterator[str]:
    """All there is to tell of a stack.

    Raises:
        SpecError: It names a target or a switch that there is not.
    """
    facts = stack.facts
    yield f"{stack.name}: {stack.title}"
    yield from _field("versions", stack.versions)
    yield from _field("read", stack.read)
    for dispatch, names in _by_dispatch(stack).items():
        yield from _field("names", f"{', '.join(names)} ({dispatch} dispatch)")
    yield from _field("roles", "; ".join(dict.fromkeys(map(_roles, stack.dialects))))
    yield from _field("labels", "; ".join(dict.fromkeys(map(_labels, stack.dialects))))
    if stack.gateway is not None:
        labels = ", ".join((*stack.gateway.selector, stack.gateway.model))
        lower = ", in lower case" if stack.gateway.lowercase else ""
        yield from _field("gateway", f"series with the labels {labels}{lower}")
    yield from _field("targets", "; ".join(f"{spec} ({load_spec(spec).title})" for spec in facts.targets))
    yield from _field("switch", "; ".join(f"{spec} ({load_switch(spec).title})" for spec in facts.switch.specs))
    yield from _field("", facts.switch.explanation)
    yield from _field("drain", _drain(stack))
    for limit in facts.limits:
        what = " ".join(str(part) for part in (limit.role, limit.rule, limit.value) if part is not None)
        yield from _field("limit", f"{what}: {limit.why}")
    for remark in facts.unverified:
        yield from _field("unverified", remark)
    if queries:
        for name, term in stack.dialects[0].terms.items():
            yield from _field("term", f"${name} stands for {term}")
    streams = list(_ways(stack.dialects[0].stream, queries=queries))
    if streams:
        yield "\nhow long the slowest request of a hundred stays on decode [s]"
        yield from streams
    for scope, signals in stack.dialects[0].signals.items():
        yield f"\n{scope}"
        for name, signal in signals.items():
            yield f"  {name} [{unit_of(scope, name)}]"
            yield from _signal(signal, queries=queries)


def _by_dispatch(stack: Stack) -> dict[str, list[str]]:
    """Beginnings of metric names by the way in which the usual proxy dispatches."""
    found: dict[str, list[str]] = {}
    for dialect in stack.dialects:
        found.setdefault(dialect.dispatch, []).append(f"{dialect.name}…")
    return found


def _roles(dialect: Dialect) -> str:
    role = dialect.labels.role
    sign = "=~" if role.match == "regex" else "="
    return ", ".join(f'{which} {role.name}{sign}"{value}"' for which, value in role.values.items())


def _labels(dialect: Dialect) -> str:
    labels = dialect.labels
    fixed = "".join(f', {name}="{value}"' for name, value in labels.fixed.items())
    return f"{labels.pod} names a replica, {labels.model} the model{fixed}"


def _drain(stack: Stack) -> str:
    drain = stack.facts.drain
    times = {"KV is kept": drain.kv_lease_s, "grace period": drain.grace_s}
    known = [f"{what} {seconds:g} s" for what, seconds in times.items() if seconds is not None]
    if drain.routing_label is not None:
        known.append(f"out of routing without the label {drain.routing_label}")
    return f"{'; '.join(known)}. {drain.explanation}" if known else drain.explanation


def _signal(signal: SignalModel, *, queries: bool) -> Iterator[str]:
    yield from _paragraph(signal.explanation)
    if signal.candidates is None:
        yield from _paragraph(f"absent: {signal.absent}")
        return
    yield from _ways(signal.candidates, queries=queries)


def _ways(candidates: Iterable[CandidateModel], *, queries: bool) -> Iterator[str]:
    for index, candidate in enumerate(candidates, start=1):
        words = _candidate(candidate)
        if words or queries:
            yield from _paragraph(f"{index}. {words}".rstrip())
        if queries:
            for template in candidate.templates:
                yield textwrap.indent(template, "         ")


def _candidate(candidate: CandidateModel) -> str:
    kind = "" if candidate.kind is Kind.VALUE else candidate.kind.value.replace("_", " ")
    unit = f"in {candidate.unit}" if candidate.unit is not None else ""
    dispatch = f"{candidate.dispatch} dispatch" if candidate.dispatch is not None else ""
    return "; ".join(part for part in (candidate.versions, dispatch, kind, unit, candidate.note) if part)


def _field(label: str, text: str) -> Iterator[str]:
    return iter(
        textwrap.wrap(text, _WIDTH, initial_indent=f"  {label:<11}", subsequent_indent=" " * 13, break_on_hyphens=False)
    )


def _paragraph(text: str) -> Iterator[str]:
    return iter(textwrap.wrap(text, _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 7))
