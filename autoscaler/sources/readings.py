"""From the answers of a source to canonical signals: choose a candidate, make one number of it, know its age."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope, Signal, Signals, SignalState, absent, measured, unit_of
from autoscaler.core.snapshot import PoolState
from autoscaler.sources.answers import Answer, Element, describe
from autoscaler.sources.attainment import (
    BucketError,
    Buckets,
    Share,
    mixed,
    quantile,
    share_within,
    sum_share_within,
)
from autoscaler.stacks.candidates import BucketForm, Kind
from autoscaler.stacks.queries import Candidate, ServiceQueries, SignalQuery

_REPLICAS = "replicas"
_BYPASS_WORTH_SAYING = 0.95


@dataclass(frozen=True, slots=True)
class ReplicaCounts:
    """Replica states read from metrics: per role the state, or why it could not be read."""

    pools: Mapping[Role, PoolState]
    errors: Mapping[Role, str]


@dataclass(frozen=True, slots=True)
class _Number:
    value: float
    detail: str = ""


class _NoNumberError(ValueError):
    """There are answers, but no number can be made of them.

    Attributes:
        final: Whether the other candidates would mislead, because this one is the right one and something is wrong.
        idle: Whether its series are there, so that this reason says more than that of another candidate.
    """

    def __init__(self, reason: str, *, final: bool = False, idle: bool = False) -> None:
        super().__init__(reason)
        self.final = final
        self.idle = idle


def age_expression(selector: str) -> str:
    """Expression for the time of the newest sample of a selector."""
    return f"max(timestamp({selector}))"


def signal_expressions(queries: ServiceQueries) -> tuple[str, ...]:
    """Everything to ask for all signals, ages included, each once."""
    return _expressions(candidate for signal in queries.signals for candidate in signal.candidates)


def replica_expressions(queries: ServiceQueries) -> tuple[str, ...]:
    """Everything to ask for the replica counts, ages included, each once."""
    return _expressions(
        candidate for query in queries.replicas.values() for candidate in (*query.asked_for, *query.ready)
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """A signal, and how it came about.

    Attributes:
        signal: The signal.
        way: Which candidate gave it; None where none did.
        final: Whether one failed in a way that ended the search.
    """

    signal: Signal
    way: int | None = None
    final: bool = False


def read_query(query: SignalQuery, answers: Mapping[str, Answer], now_s: float, stale_after_s: float) -> Reading:
    """Make one signal of its answers."""
    unit = unit_of(query.scope, query.name)
    if not query.candidates:
        return Reading(absent(unit, query.missing))
    return _read(query.candidates, unit, answers, now_s, stale_after_s)


def read_signals(queries: ServiceQueries, answers: Mapping[str, Answer], now_s: float) -> Signals:
    """Make every signal of its answers."""
    signals: dict[Scope, dict[str, Signal]] = {}
    for query in queries.signals:
        reading = read_query(query, answers, now_s, queries.stale_after_s)
        signals.setdefault(query.scope, {})[query.name] = reading.signal
    return signals


def read_replicas(queries: ServiceQueries, answers: Mapping[str, Answer], now_s: float) -> ReplicaCounts:
    """Make the replica state of every role of its answers."""
    pools: dict[Role, PoolState] = {}
    errors: dict[Role, str] = {}
    for role, query in queries.replicas.items():
        counts = [
            _read(found, _REPLICAS, answers, now_s, queries.stale_after_s).signal
            for found in (query.asked_for, query.ready)
        ]
        asked_for, ready = (signal.usable for signal in counts)
        if asked_for is None or ready is None:
            errors[role] = "; ".join(dict.fromkeys(signal.detail for signal in counts if signal.usable is None))
        else:
            pools[role] = PoolState(current=round(asked_for), ready=round(ready))
    return ReplicaCounts(pools, errors)


def all_absent(queries: ServiceQueries, reason: str) -> Signals:
    """Every signal absent for the same reason."""
    signals: dict[Scope, dict[str, Signal]] = {}
    for query in queries.signals:
        signals.setdefault(query.scope, {})[query.name] = absent(unit_of(query.scope, query.name), reason)
    return signals


def _expressions(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    values: dict[str, None] = {}
    ages: dict[str, None] = {}
    for candidate in candidates:
        for expression in candidate.expressions:
            values[expression.text] = None
            ages |= dict.fromkeys(age_expression(selector) for selector in expression.selectors)
    return (*values, *ages)


def _read(
    candidates: tuple[Candidate, ...], unit: str, answers: Mapping[str, Answer], now_s: float, stale_after_s: float
) -> Reading:
    """The first candidate that gives a number.

    An error ends the search: the next candidate may mean something else, such as the time to first token without its
    prefill leg.
    """
    failed: list[_NoNumberError] = []
    for way, candidate in enumerate(candidates):
        try:
            number = _number(candidate, answers)
        except _NoNumberError as error:
            if error.final:
                return Reading(absent(unit, str(error)), final=True)
            failed.append(error)
            continue
        return Reading(_signal(candidate, number, unit, answers, now_s, stale_after_s), way)
    if not failed:
        return Reading(absent(unit, "every way to count replicas needs a name that the policy does not give"))
    reason = str(next((error for error in failed if error.idle), failed[0]))
    return Reading(absent(unit, reason + _others(len(failed) - 1)))


def _others(count: int) -> str:
    """What to add where other ways to measure the same have failed, too."""
    if count < 1:
        return ""
    return f"; nor {'does another way' if count == 1 else f'do {count} other ways'} to measure it give a value"


def _signal(
    candidate: Candidate,
    number: _Number,
    unit: str,
    answers: Mapping[str, Answer],
    now_s: float,
    stale_after_s: float,
) -> Signal:
    detail = _join(number.detail, candidate.note)
    age_s = _age_s(candidate, answers, now_s)
    warnings = [answers[expression.text].warning for expression in candidate.expressions]
    if warning := next((warning for warning in warnings if warning), ""):
        reason = f"the answer may be incomplete: {warning}"
        return Signal(number.value, unit, age_s, SignalState.STALE, _join(reason, detail))
    if age_s is None:
        errors = [answers[age].error for age in _age_expressions(candidate) if answers[age].error]
        reason = errors[0] if errors else "its series have ended: their pods are gone, or their scrape fails"
        return Signal(number.value, unit, None, SignalState.STALE, _join(reason, detail))
    return measured(number.value, unit, age_s, stale_after_s=stale_after_s, detail=detail)


def _number(candidate: Candidate, answers: Mapping[str, Answer]) -> _Number:
    found = [answers[expression.text] for expression in candidate.expressions]
    for answer in found:
        if answer.error:
            raise _NoNumberError(answer.error, final=True)
    for answer in found:
        if not answer.elements and answer.warning:
            raise _NoNumberError(f"the answer is empty and may be incomplete: {answer.warning}", final=True)
        if not answer.elements:
            raise _empty(candidate, answers)
    vectors = [answer.elements for answer in found]
    match candidate.kind:
        case Kind.VALUE:
            return _one_value(vectors[0], candidate)
        case Kind.LABEL_PRODUCT:
            return _label_product(vectors[0], candidate)
        case Kind.ATTAINMENT:
            return _attainment(vectors, candidate)
        case Kind.QUANTILE:
            return _quantile(vectors[0], candidate)


def _one_value(elements: tuple[Element, ...], candidate: Candidate) -> _Number:
    if len(elements) > 1:
        raise _NoNumberError(
            f"{len(elements)} series where one was meant: {describe(elements)}; aggregate them, as in sum(…)",
            final=True,
        )
    value = elements[0].value * candidate.factor
    if not math.isfinite(value):
        answered = elements[0].value
        raise _NoNumberError(f"the query answered {answered}, which is no number: nothing to divide by yet?")
    return _Number(value)


def _label_product(elements: tuple[Element, ...], candidate: Candidate) -> _Number:
    """Mean over replicas of the sum over a replica's engines of value times the labels' product."""
    per_replica: dict[str, float] = defaultdict(float)
    for element in elements:
        try:
            product = element.value * math.prod(float(element.labels[label]) for label in candidate.labels)
        except (KeyError, ValueError):
            continue
        if math.isfinite(product):
            per_replica[element.labels.get(candidate.per, "")] += product
    if not per_replica:
        raise _NoNumberError(f"no series has numbers in {' and '.join(candidate.labels)}: {describe(elements)}")
    low, high = min(per_replica.values()), max(per_replica.values())
    detail = f"replicas differ: {low:g} to {high:g}" if low != high else ""
    return _Number(sum(per_replica.values()) / len(per_replica), detail)


def _attainment(vectors: list[tuple[Element, ...]], candidate: Candidate) -> _Number:
    target_s = candidate.target_s or 0.0
    *first, last = [_buckets(elements, candidate) for elements in vectors]
    share = share_within(last, target_s)
    if not first:
        return _Number(share.ratio, _bracket(share, target_s))
    # Requests that went to the last leg without the first one, such as short prompts that bypass prefill.
    both_ratio = min(first[0].rate / last.rate, 1.0)
    share = mixed(sum_share_within(first[0], last, target_s), share, both_ratio)
    bypass = f"{both_ratio:.0%} of the requests passed both legs" if both_ratio < _BYPASS_WORTH_SAYING else ""
    return _Number(share.ratio, _join(_bracket(share, target_s), "two legs added as if independent", bypass))


def _quantile(elements: tuple[Element, ...], candidate: Candidate) -> _Number:
    return _Number(quantile(_buckets(elements, candidate), candidate.percentile_ratio or 0.0))


def _buckets(elements: tuple[Element, ...], candidate: Candidate) -> Buckets:
    try:
        if candidate.buckets is BucketForm.RANGES:
            return Buckets.of_ranges(elements)
        return Buckets.of(elements, candidate.factor)
    except BucketError as error:
        raise _NoNumberError(str(error), idle=True) from None


def _bracket(share: Share, target_s: float) -> str:
    if share.exact:
        return ""
    return f"interpolated at {target_s:g} s; the buckets allow {share.least:.1%} to {share.most:.1%}"


def _age_s(candidate: Candidate, answers: Mapping[str, Answer], now_s: float) -> float | None:
    """Age of the oldest of the selectors' newest samples; None where it is unknown or no selector finds a sample."""
    ages = _age_expressions(candidate)
    if not ages:
        return 0.0
    if any(answers[age].error for age in ages):
        return None
    newest = [answers[age].elements for age in ages]
    found_s = [now_s - elements[0].value for elements in newest if elements]
    return max(found_s, default=None) if all(map(math.isfinite, found_s)) else None


def _age_expressions(candidate: Candidate) -> set[str]:
    return {age_expression(selector) for expression in candidate.expressions for selector in expression.selectors}


def _empty(candidate: Candidate, answers: Mapping[str, Answer]) -> _NoNumberError:
    for expression in candidate.expressions:
        for selector in expression.selectors:
            if not answers[age_expression(selector)].elements:
                return _NoNumberError(f"no series match {selector}: are the labels right, and is it scraped?")
    reason = "its series are there but give no value: no traffic in the window, or too few samples yet"
    return _NoNumberError(reason, idle=True)


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
