"""Decisions as they are made: a table that redraws itself on a terminal, plain lines everywhere else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TextIO

from rich.console import Group
from rich.live import Live
from rich.text import Text

from autoscaler.core.decision import Decision
from autoscaler.core.policy import Objectives, Role
from autoscaler.report.console import console_on
from autoscaler.report.table import decision_table, key_signals, objectives_text
from autoscaler.report.words import reason_text

_CHANGES_SHOWN = 8
_MINUTE_S = 60
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Moment:
    """One tick to show.

    Attributes:
        elapsed_s: Seconds since the start.
        decisions: What was decided, one per service.
        facts: One line about the whole, such as load and cost so far.
        notes: What is wrong, a line each.
    """

    elapsed_s: float
    decisions: tuple[Decision, ...]
    facts: str
    notes: tuple[str, ...] = ()


class LiveView(Protocol):
    """Shows one moment after the other."""

    def show(self, moment: Moment) -> None:
        """Show a moment, in place of or after the one before."""
        ...

    def close(self) -> None:
        """Leave the last moment standing and give the terminal back."""
        ...


def live_view(objectives: Mapping[str, Objectives], file: TextIO, *, quiet_s: float) -> LiveView:
    """Make the view that fits `file`.

    Args:
        objectives: What each service promises, by service name.
        file: Where to show.
        quiet_s: Without a terminal, longest time without a line.
    """
    return LiveTable(objectives, file) if file.isatty() else ChangeLines(objectives, file, quiet_s)


class LiveTable:
    """Redraws the decision table and the latest changes in place."""

    def __init__(self, objectives: Mapping[str, Objectives], file: TextIO) -> None:
        self._objectives = objectives
        self._changes: deque[str] = deque(maxlen=_CHANGES_SHOWN)
        self._news = _News()
        self._live = Live(console=console_on(file), auto_refresh=False)
        self._live.start()

    def show(self, moment: Moment) -> None:
        """Redraw."""
        self._changes.extend(self._news.of(moment))
        self._live.update(
            Group(
                Text(f"{clock(moment.elapsed_s)}  {moment.facts}", style="bold"),
                Text(),
                decision_table(moment.decisions, self._objectives, boxed=True),
                *(Text(note, style="bold yellow") for note in moment.notes),
                Text("LATEST CHANGES" if self._changes else ""),
                *(Text(change, no_wrap=True, overflow="ellipsis") for change in self._changes),
            ),
            refresh=True,
        )

    def close(self) -> None:
        """Leave the last moment standing and give the terminal back."""
        self._live.stop()


class ChangeLines:
    """Prints a line per change, and one on the state of things if nothing changes for a while."""

    def __init__(self, objectives: Mapping[str, Objectives], file: TextIO, quiet_s: float) -> None:
        self._objectives = objectives
        self._file = file
        self._quiet_s = quiet_s
        self._spoke_s: float | None = None
        self._news = _News()

    def show(self, moment: Moment) -> None:
        """Print what is new, if anything is."""
        lines = list(self._news.of(moment))
        if not lines and (self._spoke_s is None or moment.elapsed_s - self._spoke_s >= self._quiet_s):
            lines = [*map(partial(self._state, moment), moment.decisions), *moment.notes]
        for line in lines:
            print(line, file=self._file)
            self._spoke_s = moment.elapsed_s

    def close(self) -> None:
        """Nothing to give back."""

    def _state(self, moment: Moment, decision: Decision) -> str:
        pools = [
            f"{role.value} {decided.ready}/{decided.current} ({key_signals(role, decision.signals)})"
            for role, decided in decision.roles.items()
        ]
        promised = self._objectives.get(decision.service)
        promises = [objectives_text(promised, decision.signals)] if promised is not None else []
        named = [decision.service] if len(moment.decisions) > 1 else []
        return "  ".join([clock(moment.elapsed_s), moment.facts, *named, *pools, *promises])


def clock(elapsed_s: float) -> str:
    """Format elapsed time as `01:02:03`."""
    seconds = int(elapsed_s)
    return f"{seconds // _HOUR_S:02}:{seconds // _MINUTE_S % _MINUTE_S:02}:{seconds % _MINUTE_S:02}"


class _News:
    """Changes that were not told yet: a pool that stays short wants the same at every tick."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, Role], tuple[int, int]] = {}

    def of(self, moment: Moment) -> Iterator[str]:
        for decision in moment.decisions:
            for role, decided in decision.roles.items():
                numbers = (decided.current, decided.desired)
                if decided.changed and self._told.get((decision.service, role)) != numbers:
                    named = f"{decision.service} " if len(moment.decisions) > 1 else ""
                    change = f"{named}{role.value} {decided.current} -> {decided.desired}"
                    yield f"{clock(moment.elapsed_s)}  {change}  {reason_text(decided)}"
                self._told[decision.service, role] = numbers
