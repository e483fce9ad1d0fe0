"""What a source evaluates: the expressions behind each signal of one service, ready to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.stacks.candidates import BucketForm, Kind


@dataclass(frozen=True, slots=True)
class Expression:
    """One PromQL expression that gives an instant vector.

    Attributes:
        text: The expression, placeholders expanded.
        selectors: The vector selectors in it, without range, offset and `@`; the age of the expression is theirs.
    """

    text: str
    selectors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to obtain a signal.

    Attributes:
        kind: How the vectors become a number.
        expressions: One for `value` and `label_product`; one or two legs for a distribution.
        labels: Labels whose product is the value of each series, times its own (`label_product`).
        per: Label that names one replica (`label_product`).
        target_s: The latency objective that the share is taken at (`attainment`).
        percentile_ratio: The share of requests whose slowest is asked for (`quantile`).
        buckets: How a distribution is exported.
        factor: What one of the metric's unit is in the canonical one; of a distribution, of its bounds.
        versions: Versions of the stack that have these metrics.
        note: How far to trust the value; empty when there is nothing to say.
    """

    kind: Kind
    expressions: tuple[Expression, ...]
    labels: tuple[str, ...] = ()
    per: str = ""
    target_s: float | None = None
    percentile_ratio: float | None = None
    buckets: BucketForm = BucketForm.CUMULATIVE
    factor: float = 1.0
    versions: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class SignalQuery:
    """A canonical signal and the ways to obtain it, best first.

    Attributes:
        scope: What it belongs to.
        name: Its canonical name.
        candidates: None where the stack, or what the policy says of the service, leaves no way.
        explanation: What it counts on this stack.
        missing: Why there are no candidates.
    """

    scope: Scope
    name: str
    candidates: tuple[Candidate, ...]
    explanation: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaQuery:
    """The ways to count the replicas of one pool where no Kubernetes API is at hand, best first."""

    asked_for: tuple[Candidate, ...]
    ready: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """Versions that a series tells, and an expression that gives it where it is there."""

    versions: str
    probe: str


@dataclass(frozen=True, slots=True)
class ServiceQueries:
    """Everything to ask about one service.

    Attributes:
        service: Name of the service.
        stack: Name of the stack whose file the expressions come from.
        signals: One entry per canonical signal that the stack knows.
        replicas: One entry per role.
        stale_after_s: A signal whose newest sample is older may not be used.
        dialect: How the metric names of the engine begin.
        probe: A selector of series that the service has if it speaks this dialect.
        generations: Version families of the engine, newest first.
        buckets: How to change the bounds of the latency histograms; empty where that is not known.
        stream: How long the slowest request of a hundred stays on decode, in seconds; the ways to tell, best first.
        pod: Label that names a replica.
        alternatives: The same questions in the stack's other dialects.
    """

    service: str
    stack: str
    signals: tuple[SignalQuery, ...]
    replicas: Mapping[Role, ReplicaQuery]
    stale_after_s: float
    dialect: str = ""
    probe: str = ""
    generations: tuple[Generation, ...] = ()
    buckets: str = ""
    stream: tuple[Candidate, ...] = ()
    pod: str = ""
    alternatives: tuple[ServiceQueries, ...] = ()
