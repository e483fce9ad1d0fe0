"""From a stack file and one service to the expressions that a source evaluates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from autoscaler.core.policy import Objectives, Role
from autoscaler.core.signals import CATALOGUE, Scope
from autoscaler.stacks.candidates import CandidateModel, Dispatch, Kind, SignalModel
from autoscaler.stacks.dialects import Dialect, Stack
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.expressions import parse_expression
from autoscaler.stacks.model import GatewayModel, require_canonical
from autoscaler.stacks.placeholders import Matcher, expand, join_matchers, quote
from autoscaler.stacks.queries import Candidate, Expression, Generation, ReplicaQuery, ServiceQueries, SignalQuery

Overrides = Mapping[Scope, Mapping[str, str]]
_OF_A_CLUSTER = "cluster"
"""Of a selector, the label that series of kube-state-metrics have too where one server holds several clusters."""
_UNSAID = {
    (scope, name): SignalModel(absent="the stack file says nothing of it")
    for scope in (Scope.PREFILL, Scope.DECODE, Scope.SERVICE)
    for name in CATALOGUE[scope]
}


@dataclass(frozen=True, slots=True)
class Workload:
    """The object that holds a pool's replica count.

    Attributes:
        name: Its name.
        namespace: Its namespace, where that is known.
        makes_pods: Whether it is a Deployment or StatefulSet itself, or such a one is called as it is, and not as the
            stack calls those below it.
    """

    name: str
    namespace: str | None = None
    makes_pods: bool = False


@dataclass(frozen=True, slots=True)
class ServiceLabels:
    """What tells one service's series from all others.

    Attributes:
        model: The model's name as the engine exports it; None where the selector suffices.
        selector: Matchers that hold for every series of the service, such as its namespace.
        roles: Matchers per role that replace the stack's role label.
        workloads: The workload per role where it is known.
        dispatch: Whether the proxy calls decode after prefill or at the same time; None for the stack's usual way.
        gateway: Matchers that hold for the series of the gateway in front alone, beside those of the selector.
    """

    model: str | None = None
    selector: tuple[Matcher, ...] = ()
    roles: Mapping[Role, tuple[Matcher, ...]] = field(default_factory=dict)
    workloads: Mapping[Role, Workload] = field(default_factory=dict)
    dispatch: Dispatch | None = None
    gateway: tuple[Matcher, ...] = ()


def resolve(
    stack: Stack,
    service: str,
    labels: ServiceLabels,
    objectives: Objectives,
    *,
    overrides: Overrides | None = None,
    stale_after_s: float = 60.0,
) -> ServiceQueries:
    """Expand a stack for one service, in every dialect.

    Args:
        stack: The stack.
        service: Name of the service.
        labels: What tells its series from others.
        objectives: Percentiles and targets that latencies are taken at.
        overrides: Expressions that replace all candidates of a signal; in its canonical unit, and one series each.
            They may use the placeholders of the stack file.
        stale_after_s: A signal whose newest sample is older may not be used.

    Raises:
        StackError: A label, a placeholder or an expression is wrong; the message names the signal.
    """
    replaced = _overridden(overrides or {})
    first, *others = (
        _in_dialect(stack, dialect, service, labels, objectives, replaced, stale_after_s) for dialect in stack.dialects
    )
    return replace(first, alternatives=tuple(others))


def series_labels(stack: Stack, labels: ServiceLabels, role: Role) -> dict[str, str]:
    """Labels that make the queries of a service find a pod's series, for whoever scrapes the pod itself.

    Where a pattern tells the role, the role's own name stands for it.
    """
    of_stack = stack.labels.role
    given = labels.roles.get(role, ())
    own = {} if given else {of_stack.name: of_stack.values[role] if of_stack.match == "exact" else role.value}
    wanted = (*labels.selector, *given)
    return {**own, **{matcher.label: matcher.value for matcher in wanted if matcher.operator == "="}}


def _overridden(overrides: Overrides) -> dict[tuple[Scope, str], SignalModel]:
    found: dict[tuple[Scope, str], SignalModel] = {}
    for scope, expressions in overrides.items():
        try:
            require_canonical(scope, expressions)
        except ValueError as error:
            raise StackError(str(error)) from None
        for name, text in expressions.items():
            candidate = CandidateModel(expr=text)
            found[scope, name] = SignalModel(explanation="Expression of the policy.", candidates=(candidate,))
    return found


def _in_dialect(
    stack: Stack,
    dialect: Dialect,
    service: str,
    labels: ServiceLabels,
    objectives: Objectives,
    replaced: Mapping[tuple[Scope, str], SignalModel],
    stale_after_s: float,
) -> ServiceQueries:
    values = _values(stack, dialect, labels, objectives)
    chosen = _Chooser(dialect.labels.pod, labels.dispatch or dialect.dispatch, objectives)
    models = {(scope, name): signal for scope, signals in dialect.signals.items() for name, signal in signals.items()}
    signals = tuple(
        SignalQuery(
            scope,
            name,
            chosen.candidates(signal.candidates or (), values, f"signals.{scope}.{name}"),
            signal.explanation,
            signal.absent or "every way to measure it needs a name that the policy does not give",
        )
        for (scope, name), signal in (_UNSAID | models | dict(replaced)).items()
    )
    return ServiceQueries(
        service=service,
        stack=stack.name,
        signals=signals,
        replicas={role: _replicas(dialect, role, values, chosen) for role in dialect.labels.role.values},
        stale_after_s=stale_after_s,
        dialect=dialect.name,
        probe=f"{dialect.probe}{{{values['service']}}}",
        buckets=dialect.buckets,
        stream=chosen.candidates(dialect.stream, values, "stream"),
        pod=dialect.labels.pod,
        generations=tuple(
            Generation(generation.versions, probe)
            for generation in dialect.generations
            if (probe := expand(generation.probe, values)) is not None
        ),
    )


def _replicas(dialect: Dialect, role: Role, values: Mapping[str, str | None], chosen: _Chooser) -> ReplicaQuery:
    of_pool = {
        "pool": role.value,
        "pool_any": f"{role}_any",
        "pool_target": f"{role}_target",
        "pool_namespace": f"{role}_namespace",
    }
    of_role = {**values, **{name: values[of_this_role] for name, of_this_role in of_pool.items()}}
    return ReplicaQuery(
        asked_for=chosen.candidates(dialect.replicas.asked_for, of_role, "replicas.asked_for"),
        ready=chosen.candidates(dialect.replicas.ready, of_role, "replicas.ready"),
    )


@dataclass(frozen=True, slots=True)
class _Chooser:
    """Makes the candidates that fit a service out of those of the file."""

    pod_label: str
    dispatch: Dispatch
    objectives: Objectives

    def candidates(
        self, models: Iterable[CandidateModel], values: Mapping[str, str | None], place: str
    ) -> tuple[Candidate, ...]:
        """Expand those that fit; leaves out what needs a name that the service does not have."""
        found = (
            self._candidate(model, values, f"{place}[{index}]")
            for index, model in enumerate(models)
            if model.dispatch in (None, self.dispatch)
        )
        return tuple(candidate for candidate in found if candidate is not None)

    def _candidate(self, model: CandidateModel, values: Mapping[str, str | None], place: str) -> Candidate | None:
        expressions: list[Expression] = []
        for template in model.templates:
            try:
                text = expand(template, values)
                if text is None:
                    return None
                expressions.append(parse_expression(text))
            except StackError as error:
                raise StackError(f"{place}: {error}") from None
        objective = {"ttft": self.objectives.ttft, "tpot": self.objectives.tpot, None: None}[model.objective]
        return Candidate(
            kind=model.kind,
            expressions=tuple(expressions),
            labels=model.labels,
            per=self.pod_label if model.kind is Kind.LABEL_PRODUCT else "",
            target_s=objective.target_s if objective is not None else None,
            percentile_ratio=objective.percentile_ratio if objective is not None else None,
            buckets=model.buckets,
            factor=model.unit.factor if model.unit is not None else 1.0,
            versions=model.versions,
            note=model.note,
        )


def _values(stack: Stack, dialect: Dialect, labels: ServiceLabels, objectives: Objectives) -> dict[str, str | None]:
    """The text behind every placeholder; None where the service does not have it."""
    own = dialect.labels
    of_service = (*labels.selector, *_fixed(own.fixed))
    of_model = (Matcher(own.model, labels.model),) if labels.model is not None else ()
    values: dict[str, str | None] = {
        "service": join_matchers((*of_service, *of_model)),
        "service_any": join_matchers(of_service),
        **_gateway_values(stack.gateway, labels),
        "pod": own.pod,
        "window": dialect.windows.control,
        "shape_window": dialect.windows.shape,
        "ttft_q": repr(objectives.ttft.percentile_ratio),
        "tpot_q": repr(objectives.tpot.percentile_ratio),
    }
    for role, value in own.role.values.items():
        of_stack = Matcher(own.role.name, value, "=~" if own.role.match == "regex" else "=")
        of_role = labels.roles.get(role, (of_stack,))
        workload = labels.workloads.get(role)
        namespace = workload.namespace if workload is not None else None
        of_namespace = (Matcher("namespace", namespace),) if namespace is not None else ()
        of_cluster = (matcher for matcher in labels.selector if matcher.label == _OF_A_CLUSTER)
        below = workload is None or not workload.makes_pods
        pattern = stack.workloads.get(role, "{name}") if below else "{name}"
        values[role.value] = join_matchers((*of_service, *of_role, *of_model))
        values[f"{role}_any"] = join_matchers((*of_service, *of_role))
        values[f"{role}_target"] = quote(pattern.replace("{name}", workload.name)) if workload is not None else None
        values[f"{role}_namespace"] = join_matchers((*of_namespace, *of_cluster))
    return {**{name: expand(term, values) for name, term in dialect.terms.items()}, **values}


def _gateway_values(gateway: GatewayModel | None, labels: ServiceLabels) -> dict[str, str | None]:
    if gateway is None:
        return {"gateway": None, "gateway_any": None}
    carried = (matcher for matcher in labels.selector if matcher.label in gateway.selector)
    of_service = (*carried, *labels.gateway, *_fixed(gateway.fixed))
    if labels.model is None:
        return {"gateway": join_matchers(of_service), "gateway_any": join_matchers(of_service)}
    spellings = sorted({labels.model, labels.model.lower()}) if gateway.lowercase else [labels.model]
    if len(spellings) == 1:
        model = Matcher(gateway.model, labels.model)
    else:
        model = Matcher(gateway.model, "|".join(map(re.escape, spellings)), "=~")
    return {"gateway": join_matchers((*of_service, model)), "gateway_any": join_matchers(of_service)}


def _fixed(labels: Mapping[str, str]) -> tuple[Matcher, ...]:
    return tuple(Matcher(label, value) for label, value in labels.items())
