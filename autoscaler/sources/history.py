"""What a server that speaks Prometheus' HTTP API remembers of a service: its signals and replicas, step by step.

The same expressions and the same rules make a number of them as when the daemon asks; only the questions are ranges.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.sources.answers import Answer, Element
from autoscaler.sources.query_client import Failure, FailureKind
from autoscaler.sources.readings import age_expression, read_query, read_replicas, replica_expressions
from autoscaler.stacks.queries import ServiceQueries, SignalQuery

Floats = NDArray[np.float64]
Name = tuple[Scope, str]

_MOST_POINTS = 1500  # of one answer; servers refuse more than 11,000, and each point may hold a whole histogram
_TIMEOUT_S = 60.0
# The mean of a histogram, as stack files spell it; the histogram itself stands beside it.
_MEAN = re.compile(r"rate\(\s*(?P<name>[\w:]+)_sum(?P<selector>\{[^}]*\})?\s*\[")


class HistoryError(Exception):
    """There is no history to read; says what is wrong and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Observations by bucket and step.

    Attributes:
        bounds: Upper bounds, ascending, shape (buckets,).
        rates: Observations per second, not cumulative, shape (steps, buckets).
    """

    bounds: Floats
    rates: Floats


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """A service as it was, step by step; arrays have shape (steps,), NaN where nothing is known.

    Attributes:
        at_s: Unix time at which each step ends.
        step_s: Length of a step.
        signals: Values by scope and name.
        why_absent: Why a signal has no value at the last step without one.
        asked_for: Replicas asked for, per role.
        ready: Replicas that served, per role.
        inputs: Prompt lengths; None where the stack exports no histogram of them.
        outputs: Answer lengths.
    """

    at_s: Floats
    step_s: float
    signals: Mapping[Name, Floats]
    why_absent: Mapping[Name, str]
    asked_for: Mapping[Role, Floats]
    ready: Mapping[Role, Floats]
    inputs: Histogram | None
    outputs: Histogram | None

    @property
    def start_s(self) -> float:
        """Unix time at which the first step begins."""
        return float(self.at_s[0]) - self.step_s

    def signal(self, scope: Scope, name: str) -> Floats:
        """Values of a signal; all NaN where the stack does not know it."""
        return self.signals.get((scope, name), np.full(self.at_s.size, math.nan))


class Ranges(Protocol):
    """Whoever answers questions about a span of time."""

    def ask_range(
        self, expression: str, start_s: float, end_s: float, step_s: float, timeout_s: float
    ) -> list[dict[str, Any]] | Failure:
        """Evaluate an expression at every step from start to end.

        Returns:
            Series, each with `metric`, texts by label, and `values`, pairs of Unix time and number.
        """

    def close(self) -> None:
        """Let go of what it holds."""


Series = tuple[Mapping[str, str], Floats]


class HistoryReader:
    """Reads the history of one service.

    Args:
        queries: What to ask.
        client: Whom; closed with the reader.
    """

    def __init__(self, queries: ServiceQueries, client: Ranges) -> None:
        self._queries = queries
        self._client = client

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def read(
        self,
        start_s: float,
        end_s: float,
        step_s: float,
        wanted: Sequence[Name],
        *,
        reached: Callable[[float], None] = lambda _share: None,
    ) -> History:
        """Read signals, replica counts and length histograms of [start, end].

        Args:
            start_s: Unix time at which the first step begins.
            end_s: Unix time at which the last one ends, at the latest.
            step_s: Length of a step.
            wanted: Which signals.
            reached: Told the share of the questions that are answered.

        Raises:
            HistoryError: The server cannot be asked, or refuses every question.
        """
        # Whole steps of the clock, so that two reports of one week agree.
        first = math.floor(start_s / step_s) + 1
        at_s = step_s * np.arange(first, max(math.floor(end_s / step_s), first) + 1, dtype=np.float64)
        queries = self._spoken(at_s, step_s)
        by_name = {(query.scope, query.name): query for query in queries.signals}
        asked = {name: by_name[name] for name in wanted if name in by_name}
        lengths = [_histogram_expressions(by_name.get((Scope.SERVICE, name)), step_s) for name in _LENGTHS]
        expressions = dict.fromkeys(
            (*_values(asked.values()), *_replica_values(queries), *(text for texts in lengths for text in texts))
        )
        found: dict[str, list[Series]] = {}
        refused: dict[str, str] = {}
        for place, expression in enumerate(expressions):
            found[expression], refusal = self._range(expression, at_s, step_s)
            if refusal:
                refused[expression] = refusal
            reached((place + 1) / len(expressions))
        if refused and len(refused) == len(expressions) and not any(found.values()):
            raise HistoryError(next(iter(refused.values())))
        signals, why = _signals(asked, found, at_s, queries.stale_after_s)
        why = {name: _with_refusal(detail, asked[name], refused) for name, detail in why.items()}
        asked_for, ready = _replicas(queries, found, at_s)
        inputs, outputs = (_histogram(texts, found) for texts in lengths)
        return History(at_s, step_s, signals, why, asked_for, ready, inputs, outputs)

    def _spoken(self, at_s: Floats, step_s: float) -> ServiceQueries:
        """The questions in the dialect that most of the history is told in."""
        known = (self._queries, *self._queries.alternatives)
        if len(known) == 1:
            return self._queries
        coarse_s = max(step_s, (at_s[-1] - at_s[0]) / 100.0)

        def told(queries: ServiceQueries) -> int:
            answer = self._client.ask_range(
                age_expression(queries.probe), float(at_s[0]), float(at_s[-1]), coarse_s, _TIMEOUT_S
            )
            return sum(len(series["values"]) for series in _checked(answer)[0])

        return max(known, key=told)

    def _range(self, expression: str, at_s: Floats, step_s: float) -> tuple[list[Series], str]:
        """The series of an expression, laid out on the steps, and why the server refused it, if it did."""
        columns: dict[tuple[tuple[str, str], ...], Floats] = {}
        refusal = ""
        for begin in range(0, at_s.size, _MOST_POINTS):
            part = at_s[begin : begin + _MOST_POINTS]
            answer = self._client.ask_range(expression, float(part[0]), float(part[-1]), step_s, _TIMEOUT_S)
            told, refused = _checked(answer)
            refusal = refusal or refused
            for series in told:
                labels = tuple(sorted(series["metric"].items()))
                column = columns.setdefault(labels, np.full(at_s.size, math.nan))
                points = np.array(series["values"], dtype=np.float64).reshape(-1, 2)
                places = np.rint((points[:, 0] - at_s[0]) / step_s)
                asked = (places >= 0) & (places < at_s.size)  # servers that align times their own way may send others
                column[places[asked].astype(np.int64)] = points[asked, 1]
        return [(dict(labels), column) for labels, column in columns.items()], refusal


_LENGTHS = ("input_tokens_mean", "output_tokens_mean")


def _checked(answer: list[dict[str, Any]] | Failure) -> tuple[list[dict[str, Any]], str]:
    """The answer, and why the server refused it: one way to measure may be beyond it, and another one not.

    Raises:
        HistoryError: The server cannot be asked.
    """
    if not isinstance(answer, Failure):
        return answer, ""
    if answer.kind is FailureKind.EXPRESSION:
        return [], answer.message
    raise HistoryError(answer.message)


def _with_refusal(detail: str, query: SignalQuery, refused: Mapping[str, str]) -> str:
    """Why a signal is absent, in the server's words where it refused to say."""
    texts = _values([query])
    said = [refused[text] for text in texts if text in refused]
    if not said:
        return detail
    return said[0] if len(said) == len(texts) else f"{detail}; {said[0]}"


def _values(asked: Iterable[SignalQuery]) -> list[str]:
    return [
        expression.text for query in asked for candidate in query.candidates for expression in candidate.expressions
    ]


def _replica_values(queries: ServiceQueries) -> list[str]:
    ages = set(_replica_ages(queries))
    return [text for text in replica_expressions(queries) if text not in ages]


def _replica_ages(queries: ServiceQueries) -> list[str]:
    return [
        age_expression(selector)
        for query in queries.replicas.values()
        for candidate in (*query.asked_for, *query.ready)
        for expression in candidate.expressions
        for selector in expression.selectors
    ]


def _histogram_expressions(query: SignalQuery | None, step_s: float) -> list[str]:
    """The histograms whose means a signal takes, best first."""
    texts = [expression.text for one in (query.candidates if query else ()) for expression in one.expressions]
    matches = [found for text in texts if (found := _MEAN.search(text))]
    return [f"sum by (le) (rate({found['name']}_bucket{found['selector'] or ''}[{step_s:g}s]))" for found in matches]


def _signals(
    asked: Mapping[Name, SignalQuery], found: Mapping[str, list[Series]], at_s: Floats, stale_after_s: float
) -> tuple[dict[Name, Floats], dict[Name, str]]:
    signals = {name: np.full(at_s.size, math.nan) for name in asked}
    why: dict[Name, str] = {}
    for place, now_s in enumerate(at_s.tolist()):
        for name, query in asked.items():
            answers = _answers_at(query.candidates, found, place, now_s)
            signal = read_query(query, answers, now_s, stale_after_s).signal
            if signal.usable is None:
                why[name] = signal.detail or f"its value is {signal.value:g}, which cannot be"
            else:
                signals[name][place] = signal.usable
    return signals, why


def _replicas(
    queries: ServiceQueries, found: Mapping[str, list[Series]], at_s: Floats
) -> tuple[dict[Role, Floats], dict[Role, Floats]]:
    asked_for = {role: np.full(at_s.size, math.nan) for role in queries.replicas}
    ready = {role: np.full(at_s.size, math.nan) for role in queries.replicas}
    candidates = [one for query in queries.replicas.values() for one in (*query.asked_for, *query.ready)]
    for place, now_s in enumerate(at_s.tolist()):
        pools = read_replicas(queries, _answers_at(candidates, found, place, now_s), now_s).pools
        for role, pool in pools.items():
            asked_for[role][place], ready[role][place] = pool.current, pool.ready
    return asked_for, ready


def _answers_at(
    candidates: Iterable[Any], found: Mapping[str, list[Series]], place: int, now_s: float
) -> dict[str, Answer]:
    """What the server would have answered at a step; samples that a range answers with are fresh."""
    answers: dict[str, Answer] = {}
    for candidate in candidates:
        for expression in candidate.expressions:
            elements = tuple(
                Element(labels, float(column[place]))
                for labels, column in found[expression.text]
                if not math.isnan(column[place])
            )
            answers[expression.text] = Answer(elements)
            newest = (Element({}, now_s),) if elements else ()
            for selector in expression.selectors:
                age = age_expression(selector)
                if newest or age not in answers:
                    answers[age] = Answer(newest)
    return answers


def _histogram(texts: Sequence[str], found: Mapping[str, list[Series]]) -> Histogram | None:
    """The first of some histograms that has observations."""
    for text in texts:
        by_bound: dict[float, Floats] = {}
        for labels, column in found[text]:
            bound = _bound(labels)
            if not math.isnan(bound):
                by_bound[bound] = by_bound.get(bound, np.zeros(column.size)) + np.nan_to_num(column)
        if len(by_bound) > 1:
            bounds = np.array(sorted(by_bound))
            cumulative = np.maximum.accumulate(np.column_stack([by_bound[bound] for bound in bounds.tolist()]), axis=1)
            return Histogram(bounds, np.diff(cumulative, axis=1, prepend=0.0))
    return None


def _bound(labels: Mapping[str, str]) -> float:
    """Upper bound of a bucket; NaN for a series that is none."""
    try:
        return float(labels.get("le", "nan"))
    except ValueError:
        return math.nan
