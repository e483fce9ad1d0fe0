"""Stack signals: the canonical signals of a stack as its own metrics give them, without the daemon."""

from __future__ import annotations

import re
from typing import Any

from autoscaler.core.policy import LatencyObjective, Objectives
from autoscaler.core.signals import CATALOGUE, Scope
from autoscaler.stacks.candidates import Kind
from autoscaler.stacks.load import load_stack
from autoscaler.stacks.placeholders import Matcher
from autoscaler.stacks.queries import ServiceQueries, SignalQuery
from autoscaler.stacks.resolve import ServiceLabels, resolve
from dashboards.generator import palette
from dashboards.generator.frame import Section, choice, filled, frame
from dashboards.generator.kit import THIRD, Query, lines

_PERCENTILE_RATIO = 0.95
# The quantile panels show the percentile; the targets matter to attainment alone, which has no panel.
_OBJECTIVES = Objectives(LatencyObjective(_PERCENTILE_RATIO, 2.0), LatencyObjective(_PERCENTILE_RATIO, 0.05), 0.99)
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_UNITS = {"ratio": "percentunit", "s": "s"}
_SECTIONS = {
    Scope.SERVICE: ("Service", palette.GREEN),
    Scope.PREFILL: ("Prefill", palette.PREFILL),
    Scope.DECODE: ("Decode", palette.DECODE),
}


def stack_signals(name: str) -> dict[str, Any]:
    """The dashboard of one stack as plain data."""
    stack = load_stack(name)
    made = frame(
        f"pd-autoscaler-stack-{name}",
        f"pd-autoscaler / Stack signals: {stack.title}",
        f"What {stack.title} itself says, in the canonical signals that decisions rest on. Needs no daemon: look here "
        "before it is installed, and where it says that a signal is absent.",
        runbook="runbooks/PdAutoscalerSignalsStale.md",
    )
    queries = resolve(stack, name, ServiceLabels("$service", (Matcher("namespace", "$namespace", "=~"),)), _OBJECTIVES)
    probe = _METRIC.match(queries.probe)
    if probe is None:
        raise ValueError(f"stack {name}: its probe {queries.probe!r} begins with no metric name")
    made.with_variable(choice("namespace", "Namespace", f"label_values({probe[0]}, namespace)", many=True))
    if stack.labels.model is not None:
        models = f'label_values({probe[0]}{{namespace=~"$namespace"}}, {stack.labels.model})'
        made.with_variable(choice("service", "Model", models, many=False))
    return filled(made, [_section(queries, scope) for scope in _SECTIONS])


def _section(queries: ServiceQueries, scope: Scope) -> Section:
    title, color = _SECTIONS[scope]
    shown = [signal for signal in queries.signals if signal.scope is scope and _expression(signal)]
    return title, [_panel(signal, color) for signal in shown]


def _panel(signal: SignalQuery, color: str) -> Any:
    spec = CATALOGUE[signal.scope][signal.name]
    title = f"{signal.scope.value.capitalize()}: {spec.meaning}"
    notes = {candidate.note for candidate in signal.candidates if candidate.note}
    description = " ".join([f"Signal {signal.name}.", signal.explanation, *sorted(notes)])
    unit = _UNITS.get(spec.unit, f"suffix: {spec.unit}")
    return lines(title, description, unit, Query(_expression(signal), signal.name, color), width=THIRD)


def _expression(signal: SignalQuery) -> str:
    """The first of the candidates that answers, as the daemon takes it; empty where none is plain PromQL."""
    plain = [
        candidate.expressions[0].text
        for candidate in signal.candidates
        if candidate.kind is Kind.VALUE
        and len(candidate.expressions) == 1
        and "kube_" not in candidate.expressions[0].text
    ]
    return plain[0] if len(plain) == 1 else "\nor\n".join(f"(\n{text}\n)" for text in plain)
