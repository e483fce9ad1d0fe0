"""How busy each pod is, from the gauges behind the signals of its pool, asked per pod."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import promql_parser

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.daemon.clock import Clock
from autoscaler.sources.answers import Answer
from autoscaler.stacks.candidates import Kind
from autoscaler.stacks.queries import ServiceQueries, SignalQuery

_GAUGES: Mapping[Role, tuple[Scope, tuple[str, ...]]] = {
    Role.PREFILL: (Scope.PREFILL, ("in_flight", "queue_depth")),
    Role.DECODE: (Scope.DECODE, ("running", "waiting")),
}
# Lengths of answers fall off about exponentially: one in a hundred is longer than ln(100) times the mean.
_P99_OF_MEAN = math.log(100.0)


class Asked(Protocol):
    """Answers any expression about one service, in the dialect that it speaks."""

    @property
    def queries(self) -> ServiceQueries:
        """What its signals are read with."""
        ...

    def ask(self, expressions: Iterable[str], now_s: float, /) -> Mapping[str, Answer]:
        """Answer each expression, keyed by its text."""
        ...


class PodLoads:
    """Asks for requests per pod, and for the length of streams.

    Args:
        source: Whom to ask.
        pod_label: Label that names a replica.
        clock: Where the time comes from.
    """

    def __init__(self, source: Asked, pod_label: str, clock: Clock) -> None:
        self._source = source
        self._pod_label = pod_label
        self._clock = clock

    def requests(self, role: Role) -> dict[str, float]:
        """Requests on each pod, running and waiting; empty where the stack has no gauges of them, or nobody answers."""
        found: dict[str, float] = {}
        gauges = load_expressions(self._source.queries, role, self._pod_label)
        texts = [text for ways in gauges for text in ways]
        answers = dict(zip(texts, self._ask(texts), strict=True))
        if any(answer.error for answer in answers.values()):
            return {}
        for ways in gauges:
            told = next((answers[way].elements for way in ways if answers[way].elements), ())
            for element in told:
                pod = element.labels.get(self._pod_label)
                if pod and math.isfinite(element.value):
                    found[pod] = found.get(pod, 0.0) + element.value
        return found

    def longest_stream_s(self) -> float | None:
        """How long 99 of 100 streams last at most, by their mean length; None where that is not known."""
        texts = [
            _first(self._source.queries, scope, name)
            for scope, name in ((Scope.SERVICE, "output_tokens_mean"), (Scope.DECODE, "step_time_s"))
        ]
        known = [text for text in texts if text is not None]
        values = [answer.elements[0].value for answer in self._ask(known) if answer.elements]
        product = math.prod(values) if len(values) == len(texts) else math.nan
        return _P99_OF_MEAN * product if math.isfinite(product) else None

    def _ask(self, expressions: Iterable[str]) -> list[Answer]:
        texts = list(expressions)
        answers = self._source.ask(texts, self._clock.now_s()) if texts else {}
        return [answers[text] for text in texts]


def load_expressions(queries: ServiceQueries, role: Role, pod_label: str) -> list[tuple[str, ...]]:
    """For each gauge of requests on a role's pods the ways to ask for it by pod, the best first."""
    scope, names = _GAUGES.get(role, (Scope.SERVICE, ()))
    gauges = (tuple(_ways(query, pod_label)) for query in _signals(queries, scope, names))
    return [ways for ways in gauges if ways]


def _ways(query: SignalQuery, pod_label: str) -> Iterator[str]:
    """A gauge that is summed over a pool, by pod; nothing where the signal is something else."""
    for candidate in query.candidates:
        text = candidate.expressions[0].text.strip()
        if candidate.kind is Kind.VALUE and candidate.factor == 1.0 and _is_plain_sum(text):
            yield f"sum by ({pod_label}) {text.removeprefix('sum').strip()}"


def _is_plain_sum(text: str) -> bool:
    tree = promql_parser.parse(text)
    return isinstance(tree, promql_parser.AggregateExpr) and str(tree.op) == "sum" and tree.modifier is None


def _signals(queries: ServiceQueries, scope: Scope, names: Iterable[str]) -> Iterator[SignalQuery]:
    return (query for query in queries.signals if query.scope is scope and query.name in names)


def _first(queries: ServiceQueries, scope: Scope, name: str) -> str | None:
    candidates = [one for query in _signals(queries, scope, (name,)) for one in query.candidates]
    values = [one for one in candidates if one.kind is Kind.VALUE and one.factor == 1.0]
    return values[0].expressions[0].text if values else None
