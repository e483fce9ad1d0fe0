"""Stack signals: the canonical signals of a stack as its own metrics give them, without the daemon."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from autoscaler.core.policy import LatencyObjective, Objectives
from autoscaler.core.signals import CATALOGUE, Scope
from autoscaler.stacks.candidates import Kind
from autoscaler.stacks.load import load_stack
from autoscaler.stacks.placeholders import Matcher
from autoscaler.stacks.queries import Candidate, ServiceQueries, SignalQuery
from autoscaler.stacks.resolve import ServiceLabels, resolve
from dashboards.generator import palette
from dashboards.generator.frame import Section, choice, filled, frame
from dashboards.generator.kit import THIRD, Panel, Query, lines

_PERCENTILE_RATIO = 0.95
# The quantile panels show the percentile; the targets matter to attainment alone, which has no panel.
_OBJECTIVES = Objectives(LatencyObjective(_PERCENTILE_RATIO, 2.0), LatencyObjective(_PERCENTILE_RATIO, 0.05), 0.99)
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_COARSER = "Where it can, the daemon reads it in a way that is no query, so that its number may differ."
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
    likeliest = resolve(
        stack, name, ServiceLabels("$service", (Matcher("namespace", "$namespace", "=~"),)), _OBJECTIVES
    )
    dialects = (likeliest, *likeliest.alternatives)
    probes = "|".join(dict.fromkeys(_name(queries.probe) for queries in dialects))
    made.with_variable(
        choice("namespace", "Namespace", f'label_values({{__name__=~"{probes}"}}, namespace)', many=True)
    )
    if stack.labels.model is not None:
        models = f'label_values({{__name__=~"{probes}", namespace=~"$namespace"}}, {stack.labels.model})'
        made.with_variable(choice("service", "Model", models, many=False))
    return filled(made, [_section(dialects, scope) for scope in _SECTIONS])


def _name(probe: str) -> str:
    found = _METRIC.match(probe)
    if found is None:
        raise ValueError(f"the probe {probe!r} begins with no metric name")
    return found[0]


def _section(dialects: Sequence[ServiceQueries], scope: Scope) -> Section:
    title, color = _SECTIONS[scope]
    by_name: dict[str, list[SignalQuery]] = {}
    for signal in (signal for queries in dialects for signal in queries.signals):
        if signal.scope is scope and signal.candidates:
            by_name.setdefault(signal.name, []).append(signal)
    drawn = {name: signals for name, signals in by_name.items() if any(map(_expressions, signals))}
    return title, [_panel(drawn[name], color) for name in CATALOGUE[scope] if name in drawn]


def _panel(signals: Sequence[SignalQuery], color: str) -> Panel:
    """A signal in every dialect that knows it; a service speaks one, so that at most one of them answers."""
    first = next(signal for signal in signals if _expressions(signal))
    spec = CATALOGUE[first.scope][first.name]
    title = f"{first.scope.value.capitalize()}: {spec.meaning}"
    notes = {candidate.note for signal in signals for candidate in signal.candidates if candidate.note}
    exact = "" if all(_is_drawn(signal.candidates[0]) for signal in signals) else _COARSER
    description = " ".join(filter(None, [f"Signal {first.name}.", first.explanation, *sorted(notes), exact]))
    unit = _UNITS.get(spec.unit, f"suffix: {spec.unit}")
    texts = _in_one_order([_expressions(signal) for signal in signals])
    expression = texts[0] if len(texts) == 1 else "\nor\n".join(f"(\n{text}\n)" for text in texts)
    return lines(title, description, unit, Query(expression, first.name, color), width=THIRD)


def _expressions(signal: SignalQuery) -> list[str]:
    """The candidates that are plain PromQL on the stack's own metrics, in the signal's unit, best first."""
    return [
        _in_unit(candidate.expressions[0].text, candidate.factor)
        for candidate in signal.candidates
        if _is_drawn(candidate)
    ]


def _is_drawn(candidate: Candidate) -> bool:
    return candidate.kind is Kind.VALUE and "kube_" not in candidate.expressions[0].text


def _in_one_order(orders: list[list[str]]) -> list[str]:
    """All entries, each once, in an order that keeps to that of every list as long as they do not contradict."""
    merged = []
    while any(orders):
        heads = [order[0] for order in orders if order]
        free = (head for head in heads if not any(head in order[1:] for order in orders))
        merged.append(next(free, heads[0]))
        orders = [[entry for entry in order if entry != merged[-1]] for order in orders]
    return merged


def _in_unit(expression: str, factor: float) -> str:
    return expression if factor == 1.0 else f"(\n{expression}\n) * {factor:g}"
