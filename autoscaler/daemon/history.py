"""Reads back from Prometheus what a service was asked for in the last two weeks: the season of its forecasts.

One day per call, the newest first, so that no tick waits for a long query and no server is asked for two weeks at once.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from autoscaler.core.history import NEEDED, Moment, seed
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.signals import Scope
from autoscaler.core.state import State
from autoscaler.daemon.logs import Log
from autoscaler.sources.http import Connection
from autoscaler.sources.query_client import Failure, FailureKind, QueryClient
from autoscaler.stacks.candidates import Kind
from autoscaler.stacks.queries import Candidate, ServiceQueries

_DAYS = 14
_DAY_S = 86_400.0
_WEEK_S = 7 * _DAY_S
# Three samples in each quarter of an hour that a season remembers.
_STEP_S = 300.0
# A server that keeps less ends the reading.
_MOST_EMPTY_DAYS = 2
# One that fails is left alone for 1, 3, 7 … calls; at a tick each 15 s the last attempt comes after four hours.
_MOST_FAILURES = 10

# (Unix time, value) pairs.
_Series = tuple[tuple[float, float], ...]
_Values = dict[tuple[Scope, str], _Series]


class Past:
    """Puts the recorded past into the memory of a service, as soon as it is read and its engines are known.

    Args:
        reader: Reads it.
    """

    def __init__(self, reader: HistoryReader) -> None:
        self._reader = reader
        self._missing: frozenset[Role] | None = None

    def put_into(self, policy: ServicePolicy, state: State, now_s: float) -> State:
        """The memory with what could be put into it by now; at most one day is read for it."""
        if self._reader.follow_wall_clock(now_s):
            self._missing = None
        if self._missing is None:
            known = (memory.forecast.since_s for memory in state.roles.values())
            long_known = [since_s is not None and now_s - since_s >= _WEEK_S for since_s in known]
            warm = len(long_known) == len(policy.roles) and all(long_known)
            self._missing = frozenset() if warm else frozenset(policy.roles)
        if not self._missing:
            return state
        if not self._reader.done:
            self._reader.read_day(now_s)
        if not self._reader.done:
            return state
        if not self._reader.moments:
            self._missing = frozenset()
            return state
        wanted = replace(policy, roles={role: policy.roles[role] for role in self._missing})
        state, seeded = seed(wanted, state, self._reader.moments)
        self._missing -= seeded
        return state

    def close(self) -> None:
        """Let go of connections."""
        self._reader.close()


class HistoryReader:
    """Reads the past of one service, a day a call.

    Args:
        queries: What to ask; of the dialects the first that has an answer.
        connection: Where to and as whom.
        log: Where to say what was found.
        patience_s: Longest time for one day.
        clock: Monotonic seconds.
        wall: Gives an instant that we are called at as the wall clock, by which the server goes, has it now.
    """

    def __init__(
        self,
        queries: ServiceQueries,
        connection: Connection,
        log: Log,
        *,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[float], float] = lambda at_s: at_s,
    ) -> None:
        self.moments: list[Moment] = []
        self._dialects = (queries, *queries.alternatives)
        self._client = QueryClient(connection, clock)
        self._log = log
        self._patience_s = patience_s
        self._clock = clock
        self._wall = wall
        self._ahead_s = 0.0
        self._end_s: float | None = None
        self._days = self._empty = self._failures = self._pause = 0

    @property
    def done(self) -> bool:
        """Whether there is nothing more to read."""
        return self._days >= _DAYS or self._empty >= _MOST_EMPTY_DAYS or self._failures >= _MOST_FAILURES

    def follow_wall_clock(self, now_s: float) -> bool:
        """Begin anew where the wall clock was set by a step or more: what was read was dated, or sought, wrongly.

        Returns:
            Whether it was.
        """
        ahead_s = self._wall(now_s) - now_s
        if abs(ahead_s - self._ahead_s) < _STEP_S:
            return False
        self._ahead_s, self._end_s, self.moments = ahead_s, None, []
        self._days = self._empty = self._failures = self._pause = 0
        return True

    def read_day(self, now_s: float) -> None:
        """Read the next day back; what fails is tried again at a later call."""
        if self._pause > 0:
            self._pause -= 1
            return
        if self._end_s is None:
            self._end_s = math.floor((now_s + self._ahead_s) / _STEP_S) * _STEP_S
        end_s = self._end_s - self._days * _DAY_S
        found = self._day(end_s - _DAY_S + _STEP_S, end_s)
        if isinstance(found, Failure):
            self._failures += 1
            self._pause = 2**self._failures - 1
            if self.done:
                self._say(f"the season is learned anew where it is unknown: {found.message}")
            return
        self._failures = 0
        self._days += 1
        self._empty = 0 if found else self._empty + 1
        self.moments += [replace(moment, at_s=moment.at_s - self._ahead_s) for moment in found]
        if self.done:
            self._say("the season of the forecasts starts from it" if self.moments else "Prometheus has none")

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _say(self, message: str) -> None:
        first_s = min((moment.at_s for moment in self.moments), default=0.0)
        hours = round((self._end_s - self._ahead_s - first_s) / 3600) if self.moments and self._end_s is not None else 0
        self._log.info("demand history read", hours=hours, message=message)

    def _day(self, from_s: float, to_s: float) -> list[Moment] | Failure:
        until_s = self._clock() + self._patience_s
        for queries in self._dialects:
            values: _Values = {}
            for signal in queries.signals:
                if signal.name not in NEEDED.get(signal.scope, ()):
                    continue
                series = self._first_answer(signal.candidates, from_s, to_s, until_s)
                if isinstance(series, Failure):
                    return series
                values[signal.scope, signal.name] = series
            if any(values.values()):
                self._dialects = (queries,)
                return _moments(values)
        return []

    def _first_answer(
        self, candidates: tuple[Candidate, ...], from_s: float, to_s: float, until_s: float
    ) -> _Series | Failure:
        for candidate in candidates:
            if candidate.kind is not Kind.VALUE:
                continue
            left_s = max(until_s - self._clock(), 0.001)
            found = self._client.ask_range(candidate.expressions[0].text, from_s, to_s, _STEP_S, left_s)
            if isinstance(found, Failure):
                if found.kind is FailureKind.EXPRESSION:
                    continue
                return found
            if len(found) == 1:  # several series are none, as in a live reading
                return tuple(
                    (float(at_s), float(value) * candidate.factor) for at_s, value in found[0].get("values", ())
                )
        return ()


def _moments(values: _Values) -> list[Moment]:
    recorded: dict[float, dict[Scope, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for (scope, name), series in values.items():
        for at_s, value in series:
            if math.isfinite(value):
                recorded[at_s][scope][name] = value
    return [Moment(at_s, {scope: dict(named) for scope, named in found.items()}) for at_s, found in recorded.items()]
