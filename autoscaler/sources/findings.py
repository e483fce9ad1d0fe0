"""What a service exports, seen from outside: of each signal whether it is there, and if not, what is there instead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from autoscaler.core.signals import Scope, Signal, SignalState
from autoscaler.sources.answers import Answer, Ask
from autoscaler.sources.attainment import BucketError, Buckets
from autoscaler.sources.dialect import Listener
from autoscaler.sources.readings import Reading, age_expression, read_query, signal_expressions
from autoscaler.stacks.candidates import BucketForm, Kind
from autoscaler.stacks.expressions import matcher_texts
from autoscaler.stacks.queries import Candidate, ServiceQueries, SignalQuery

_MOST_SHOWN = 6
# What a scrape adds to a target's series, and a pair of Prometheus servers to all of theirs: never the engine's own.
_OF_SCRAPES = (
    *("job", "endpoint", "service", "container", "instance", "pod", "cluster"),
    *("prometheus_replica", "replica", "prometheus"),
)


class Verdict(StrEnum):
    """What is to be said of a signal."""

    OK = "ok"
    STALE = "stale"
    IDLE = "idle"
    MISSING = "missing"
    FAILED = "failed"
    DECLARED = "none"


@dataclass(frozen=True, slots=True)
class SignalFinding:
    """What was found of one signal.

    Attributes:
        verdict: Whether it can be used; `idle` has series but no value yet, `none` is not to be had on this stack.
        signal: As a decision would see it.
        series: Series behind the way that was taken.
        way: Which way to measure it was taken, counted from 1; None where none gave a value.
        ways: How many there are.
        versions: Versions that have the way that was taken.
        metric: Name of the metric that is missing.
        remedy: What to do; of a missing metric, what is there instead. Empty where nothing is to be done.
    """

    scope: Scope
    name: str
    verdict: Verdict
    signal: Signal
    series: int = 0
    way: int | None = None
    ways: int = 0
    versions: str = ""
    metric: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found of a service.

    Attributes:
        dialect: How the metric names begin that were found, or were looked for where none was found.
        heard: Whether any series of the service is there.
        versions: Version family of the engine; empty where no series tells it.
        signals: One entry per signal of the stack.
        copies: Of series that are there several times, and thus count so often, the label that alone tells them apart
            and its values; None where each is there once.
    """

    dialect: str
    heard: bool
    versions: str
    signals: tuple[SignalFinding, ...]
    copies: tuple[str, tuple[str, ...]] | None = None


def examine(queries: ServiceQueries, ask: Ask, now_s: float) -> Findings:
    """Ask for everything a service should export, and find out about what is not there.

    Args:
        queries: The questions about the service.
        ask: Answers any expression.
        now_s: Unix time of the observation.
    """
    spoken, answers = Listener(queries).hear(signal_expressions, ask, now_s)
    heard = bool(ask([age_expression(spoken.probe)], now_s)[age_expression(spoken.probe)].elements)
    if not heard and (meant := _spoken_by_others(queries, ask, now_s)) is not None:
        spoken, answers = meant, ask(signal_expressions(meant), now_s)
    readings = {query: read_query(query, answers, now_s, spoken.stale_after_s) for query in spoken.signals}
    counts = _counts(readings, ask, now_s)
    selectors = _Selectors(ask, now_s)
    probed = ask([generation.probe for generation in spoken.generations], now_s)
    return Findings(
        dialect=spoken.dialect,
        heard=heard,
        versions=next((one.versions for one in spoken.generations if probed[one.probe].elements), ""),
        signals=tuple(
            _finding(query, reading, answers, counts, selectors, spoken.buckets) for query, reading in readings.items()
        ),
        copies=_copies(spoken, ask, now_s),
    )


def _copies(queries: ServiceQueries, ask: Ask, now_s: float) -> tuple[str, tuple[str, ...]] | None:
    """Of series of the same pod that are alike but for labels of scrapes: the label with the fewest values."""
    labels_of_scrapes = [label for label in _OF_SCRAPES if label != queries.pod]
    alike: defaultdict[frozenset[tuple[str, str]], list[Mapping[str, str]]] = defaultdict(list)
    for element in ask([queries.probe], now_s)[queries.probe].elements:
        if element.labels.get(queries.pod):
            own = frozenset(pair for pair in element.labels.items() if pair[0] not in labels_of_scrapes)
            alike[own].append(element.labels)
    found: list[tuple[str, set[str]]] = []
    for label in labels_of_scrapes:
        several = ({labels.get(label, "") for labels in group} for group in alike.values())
        found.append((label, set().union(*(values for values in several if len(values) > 1))))
    copies = [(label, tuple(sorted(values))) for label, values in found if values]
    return min(copies, key=lambda copy: len(copy[1]), default=None)


def _spoken_by_others(queries: ServiceQueries, ask: Ask, now_s: float) -> ServiceQueries | None:
    """The dialect of series that are there, though not with the labels of this service."""
    known = (queries, *queries.alternatives)
    counts = {dialect.dialect: f"count({matcher_texts(dialect.probe)[0]})" for dialect in known}
    answers = ask(counts.values(), now_s)
    return next((dialect for dialect in known if answers[counts[dialect.dialect]].elements), None)


def _counts(readings: Mapping[SignalQuery, Reading], ask: Ask, now_s: float) -> dict[str, int]:
    """Series behind each selector of the ways that were taken."""
    selectors = {
        selector
        for query, reading in readings.items()
        if reading.way is not None
        for selector in _selectors(query.candidates[reading.way])
    }
    answers = ask([f"count({selector})" for selector in selectors], now_s)
    return {selector: _number(answers[f"count({selector})"]) for selector in selectors}


def _finding(
    query: SignalQuery,
    reading: Reading,
    answers: Mapping[str, Answer],
    counts: Mapping[str, int],
    selectors: _Selectors,
    buckets: str,
) -> SignalFinding:
    found = SignalFinding(query.scope, query.name, Verdict.DECLARED, reading.signal, ways=len(query.candidates))
    if reading.way is not None:
        candidate = query.candidates[reading.way]
        stale = reading.signal.state is SignalState.STALE
        return replace(
            found,
            verdict=Verdict.STALE if stale else Verdict.OK,
            series=sum(counts[selector] for selector in _selectors(candidate)),
            way=reading.way + 1,
            versions=candidate.versions,
            remedy=_stale_remedy(reading.signal) if stale else _bucket_remedy(candidate, answers, buckets),
        )
    if not query.candidates:
        return found
    if reading.final:
        return replace(found, verdict=Verdict.FAILED)
    used = [selector for candidate in query.candidates for selector in _selectors(candidate)]
    lacking = {selector for selector in used if not answers[age_expression(selector)].elements}
    if any(lacking.isdisjoint(_selectors(candidate)) for candidate in query.candidates):
        return replace(found, verdict=Verdict.IDLE, remedy="send a request and look again")
    first = next(selector for selector in used if selector in lacking)
    metric, remedy = selectors.why_empty(first)
    return replace(found, verdict=Verdict.MISSING, metric=metric, remedy=remedy)


def _stale_remedy(signal: Signal) -> str:
    if signal.age_s is None:
        return "see whether its pods are gone, and whether Prometheus still scrapes them"
    return "see whether Prometheus still scrapes it; an interval of more than 30 s needs a longer staleAfter"


def _bucket_remedy(candidate: Candidate, answers: Mapping[str, Answer], how: str) -> str:
    """What to do where the objective lies between two bounds of the histogram that its attainment is taken from."""
    if candidate.kind is not Kind.ATTAINMENT or candidate.target_s is None:
        return ""
    elements = answers[candidate.expressions[-1].text].elements
    try:
        ranges = candidate.buckets is BucketForm.RANGES
        latency = Buckets.of_ranges(elements) if ranges else Buckets.of(elements, candidate.factor)
    except BucketError:
        return ""
    within = (latency.lower_s < candidate.target_s) & (candidate.target_s < latency.upper_s)
    if not within.any():
        return ""
    low_s, high_s = float(latency.lower_s[within][0]), float(latency.upper_s[within][0])
    return (
        f"the target of {candidate.target_s:g} s lies between the bounds {low_s:g} and {high_s:g} of the histogram, so "
        f"the share is a guess: put the target on a bound, or a bound on the target{f' by {how}' if how else ''}"
    )


class _Selectors:
    """Finds out why a selector matches nothing; asks about each metric once."""

    def __init__(self, ask: Ask, now_s: float) -> None:
        self._ask = ask
        self._now_s = now_s
        self._known: dict[str, tuple[str, str]] = {}

    def why_empty(self, selector: str) -> tuple[str, str]:
        """The metric, and what is there instead."""
        if selector not in self._known:
            self._known[selector] = self._look(selector)
        return self._known[selector]

    def _look(self, selector: str) -> tuple[str, str]:
        name, matchers = matcher_texts(selector)
        whole = f"count({name})"
        each = {matcher: f"count({name}{{{matcher}}})" for _, matcher in matchers}
        answers = self._ask([whole, *each.values()], self._now_s)
        if not answers[whole].elements:
            return name, "no series is called so: is it scraped, and does this version export it?"
        lacking = [(label, matcher) for label, matcher in matchers if not answers[each[matcher]].elements]
        if not lacking:
            return name, f"no series has all of {', '.join(matcher for _, matcher in matchers)} at once"
        return name, "; ".join(self._instead(name, label, matcher) for label, matcher in lacking)

    def _instead(self, name: str, label: str, matcher: str) -> str:
        by_value, sample = f"count by ({label}) ({name})", f"topk(1, {name})"
        answers = self._ask([by_value, sample], self._now_s)
        values = sorted({element.labels.get(label, "") for element in answers[by_value].elements} - {""})
        if values:
            shown = ", ".join(values[:_MOST_SHOWN]) + (" and more" if len(values) > _MOST_SHOWN else "")
            return f"no series has {matcher}; {label} is {shown}"
        labels = sorted({label for element in answers[sample].elements for label in element.labels} - {"__name__"})
        return f"no series has the label {label}; their labels are {', '.join(labels)}"


def _selectors(candidate: Candidate) -> Iterable[str]:
    return dict.fromkeys(selector for expression in candidate.expressions for selector in expression.selectors)


def _number(answer: Answer) -> int:
    return round(answer.elements[0].value) if answer.elements else 0
