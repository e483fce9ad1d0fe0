"""The decision record as a table for people: what is, what should be, and why, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from autoscaler.core.attribution import Bottleneck
from autoscaler.core.decision import Decision, RoleDecision
from autoscaler.core.policy import LatencyObjective, Objectives, Role
from autoscaler.core.signals import Scope, Signal, Signals
from autoscaler.report.console import console_on
from autoscaler.report.words import quantity, signal_text, story_text

_KEY_SIGNALS: Mapping[Role, tuple[tuple[str, str], ...]] = {
    Role.PREFILL: (("queue", "queue_depth"), ("offered", "offered_tokens_per_s"), ("KV", "kv_utilization_max")),
    Role.DECODE: (
        ("KV", "kv_utilization_mean"),
        ("running", "running"),
        ("waiting", "waiting"),
        ("step", "step_time_s"),
    ),
    Role.AGGREGATED: (("queue", "queue_depth"), ("running", "running"), ("KV", "kv_utilization_mean")),
}


def print_table(decisions: Iterable[Decision], objectives: Mapping[str, Objectives], file: TextIO) -> None:
    """Print the table; colour and box lines only where `file` is a terminal, no colour with NO_COLOR set.

    Args:
        decisions: What was decided, one per service.
        objectives: What each service promises, by service name.
        file: Where to print.
    """
    console_on(file).print(decision_table(decisions, objectives, boxed=file.isatty()))


def decision_table(decisions: Iterable[Decision], objectives: Mapping[str, Objectives], *, boxed: bool) -> Table:
    """Lay decisions out as one row per pool and one for the objectives of each service."""
    table = Table(box=SIMPLE_HEAD if boxed else None, pad_edge=False, show_edge=False)
    table.add_column("SERVICE", no_wrap=True)
    table.add_column("ROLE", no_wrap=True)
    table.add_column("READY/NOW -> WANT", no_wrap=True)
    table.add_column("WHY")
    table.add_column("SIGNALS")
    for decision in decisions:
        for role, decided in decision.roles.items():
            signals = key_signals(role, decision.signals)
            table.add_row(decision.service, role.value, _replicas(decided), story_text(decided), signals)
        for role, reason in decision.undecided.items():
            table.add_row(decision.service, role.value, "?", reason, key_signals(role, decision.signals))
        if decision.service in objectives:
            promised = objectives_text(objectives[decision.service], decision.signals)
            table.add_row(
                decision.service,
                "objectives",
                decision.mode.value,
                promised,
                bottleneck_text(decision),
                end_section=True,
            )
    return table


def key_signals(role: Role, signals: Signals) -> str:
    """The few signals that people look at first for a role."""
    found = signals.get(Scope(role.value), {})
    return ", ".join(f"{label} {signal_text(found.get(name))}" for label, name in _KEY_SIGNALS[role])


def objectives_text(objectives: Objectives, signals: Signals) -> str:
    """Both latency objectives against what users see."""
    service = signals.get(Scope.SERVICE, {})
    ttft = _objective("TTFT", objectives.ttft, service.get("ttft_s"))
    tpot = _objective("TPOT", objectives.tpot, service.get("tpot_s"))
    return f"{ttft}; {tpot}"


def bottleneck_text(decision: Decision) -> str:
    """What holds requests up; empty while nothing does."""
    found = decision.attribution
    if found is None or found.bottleneck is Bottleneck.NONE:
        return ""
    return f"bottleneck {found.bottleneck.value}: {found.detail}"


def _objective(name: str, objective: LatencyObjective, signal: Signal | None) -> str:
    promise = f"{name} p{objective.percentile_ratio * 100:g} of {quantity(objective.target_s, 's')}"
    value = signal.usable if signal is not None else None
    if value is None:
        return f"{promise}: unknown ({signal_text(signal)})"
    verdict = "met" if value <= objective.target_s else "missed"
    return f"{promise}: {verdict} ({quantity(value, 's')})"


def _replicas(decided: RoleDecision) -> Text:
    text = f"{decided.ready}/{decided.current} -> {decided.desired}"
    if decided.uncapped != decided.desired:
        text += f" (uncapped {decided.uncapped})"
    if decided.desired == decided.current:
        return Text(text)
    return Text(text, style="bold green" if decided.desired > decided.current else "bold yellow")
