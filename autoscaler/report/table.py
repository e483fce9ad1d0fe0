"""The decision record as a table for people: what is, what should be, and why, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
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

_LEAST_WORDS = 16  # columns; less is no text to read
_ENDLESS = 100_000  # columns; the table is measured as if they were there


def print_table(decisions: Iterable[Decision], objectives: Mapping[str, Objectives], file: TextIO) -> None:
    """Print the table; colour and box lines only where `file` is a terminal, no colour with NO_COLOR set.

    Args:
        decisions: What was decided, one per service.
        objectives: What each service promises, by service name.
        file: Where to print.
    """
    console_on(file).print(decision_table(decisions, objectives, boxed=file.isatty()))


def decision_table(
    decisions: Iterable[Decision], objectives: Mapping[str, Objectives], *, boxed: bool
) -> DecisionTable:
    """Lay decisions out as one row per pool and one for the objectives of each service."""
    return DecisionTable(tuple(_rows(decisions, objectives)), boxed)


@dataclass(frozen=True, slots=True)
class _Row:
    """Cells; `replicas` is the mode in a row about objectives, which ends a service."""

    service: str
    role: str
    replicas: Text
    why: str
    signals: str
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """A table, or where it would leave too little room for words, a paragraph per row; nothing is cut off."""

    rows: tuple[_Row, ...]
    boxed: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay it out for the console that there is."""
        whole = self._table()
        if console.measure(whole, options=options.update(max_width=_ENDLESS)).minimum <= options.max_width:
            yield whole
            return
        for row in self.rows:
            yield Text.assemble((f"{row.service} {row.role} ", "bold"), row.replicas)
            for words in (row.why, row.signals):
                if words:
                    yield Padding(Text(words), (0, 0, 0, 2))

    def _table(self) -> Table:
        table = Table(box=SIMPLE_HEAD if self.boxed else None, pad_edge=False, show_edge=False)
        for heading in ("SERVICE", "ROLE", "READY/NOW -> WANT"):
            table.add_column(heading, no_wrap=True)
        for heading in ("WHY", "SIGNALS"):
            table.add_column(heading, overflow="fold", min_width=_LEAST_WORDS)
        for row in self.rows:
            table.add_row(row.service, row.role, row.replicas, row.why, row.signals, end_section=row.is_last)
        return table


def _rows(decisions: Iterable[Decision], objectives: Mapping[str, Objectives]) -> Iterator[_Row]:
    for decision in decisions:
        service = decision.service
        for role, decided in decision.roles.items():
            signals = key_signals(role, decision.signals)
            yield _Row(service, role.value, _replicas(decided), story_text(decided), signals)
        for role, reason in decision.undecided.items():
            yield _Row(service, role.value, Text("?"), reason, key_signals(role, decision.signals))
        if service in objectives:
            promised = objectives_text(objectives[service], decision.signals)
            mode = Text(decision.mode.value)
            yield _Row(service, "objectives", mode, promised, bottleneck_text(decision), is_last=True)


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
