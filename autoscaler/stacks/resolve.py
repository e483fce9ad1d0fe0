"""From a stack file and one service to the expressions that a source evaluates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autoscaler.core.policy import Objectives, Role
from autoscaler.core.signals import Scope
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.expressions import parse_expression
from autoscaler.stacks.model import CandidateModel, Dispatch, Kind, StackModel, require_canonical
from autoscaler.stacks.placeholders import Matcher, expand, join_matchers, quote
from autoscaler.stacks.queries import Candidate, Expression, ReplicaQuery, ServiceQueries, SignalQuery

Overrides = Mapping[Scope, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Workload:
    """The Deployment or StatefulSet behind a pool."""

    name: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceLabels:
    """What tells one service's series from all others.

    Attributes:
        model: The model's name as the engine exports it; None where the selector suffices.
        selector: Matchers that hold for every series of the service, such as its namespace.
        roles: Matchers per role that replace the stack's role label.
        workloads: The workload per role where it is known.
        dispatch: Whether the proxy calls decode after prefill or at the same time; None for the stack's usual way.
    """

    model: str | None = None
    selector: tuple[Matcher, ...] = ()
    roles: Mapping[Role, tuple[Matcher, ...]] = field(default_factory=dict)
    workloads: Mapping[Role, Workload] = field(default_factory=dict)
    dispatch: Dispatch | None = None


def resolve(
    stack: StackModel,
    service: str,
    labels: ServiceLabels,
    objectives: Objectives,
    *,
    overrides: Overrides | None = None,
    stale_after_s: float = 60.0,
) -> ServiceQueries:
    """Expand a stack file for one service.

    Args:
        stack: The stack file.
        service: Name of the service.
        labels: What tells its series from others.
        objectives: Percentiles and targets that latencies are taken at.
        overrides: Expressions that replace all candidates of a signal; in its canonical unit, and one series each.
            They may use the placeholders of the stack file.
        stale_after_s: A signal whose newest sample is older may not be used.

    Raises:
        StackError: A label, a placeholder or an expression is wrong; the message names the signal.
    """
    values = _values(stack, labels, objectives)
    chosen = _Chooser(stack.labels.pod, labels.dispatch or stack.dispatch, objectives)
    models: dict[tuple[Scope, str], tuple[tuple[CandidateModel, ...], str]] = {
        (scope, name): (signal.candidates, signal.explanation)
        for scope, signals in stack.signals.items()
        for name, signal in signals.items()
    }
    for scope, replaced in (overrides or {}).items():
        try:
            require_canonical(scope, replaced)
        except ValueError as error:
            raise StackError(str(error)) from None
        for name, text in replaced.items():
            models[scope, name] = ((CandidateModel(expr=text),), "Expression of the policy.")
    signals = tuple(
        SignalQuery(scope, name, chosen.candidates(candidates, values, f"signals.{scope}.{name}"), explanation)
        for (scope, name), (candidates, explanation) in models.items()
    )
    replicas = {role: _replicas(stack, role, values, chosen) for role in stack.labels.role.values}
    return ServiceQueries(service, stack.name, signals, replicas, stale_after_s)


def series_labels(stack: StackModel, labels: ServiceLabels, role: Role) -> dict[str, str]:
    """Labels that make the queries of a service find a pod's series, for whoever scrapes the pod itself."""
    return {
        matcher.label: matcher.value
        for matcher in (*labels.selector, *_role_matchers(stack, labels, role))
        if matcher.operator == "="
    }


def _replicas(stack: StackModel, role: Role, values: Mapping[str, str | None], chosen: _Chooser) -> ReplicaQuery:
    of_pool = {"pool": role.value, "pool_target": f"{role}_target", "pool_namespace": f"{role}_namespace"}
    of_role = {**values, **{name: values[of_this_role] for name, of_this_role in of_pool.items()}}
    return ReplicaQuery(
        asked_for=chosen.candidates(stack.replicas.asked_for, of_role, "replicas.asked_for"),
        ready=chosen.candidates(stack.replicas.ready, of_role, "replicas.ready"),
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
        target_s = {"ttft": self.objectives.ttft.target_s, "tpot": self.objectives.tpot.target_s, None: None}
        return Candidate(
            kind=model.kind,
            expressions=tuple(expressions),
            labels=model.labels,
            per=self.pod_label if model.kind is Kind.LABEL_PRODUCT else "",
            target_s=target_s[model.objective],
            versions=model.versions,
            note=model.note,
        )


def _values(stack: StackModel, labels: ServiceLabels, objectives: Objectives) -> dict[str, str | None]:
    """The text behind every placeholder; None where the service does not have it."""
    of_model = (Matcher(stack.labels.model, labels.model),) if labels.model is not None else ()
    values: dict[str, str | None] = {
        "service": join_matchers((*labels.selector, *of_model)),
        "service_any": join_matchers(labels.selector),
        "pod": stack.labels.pod,
        "window": stack.windows.control,
        "shape_window": stack.windows.shape,
        "ttft_q": repr(objectives.ttft.percentile_ratio),
        "tpot_q": repr(objectives.tpot.percentile_ratio),
    }
    for role in stack.labels.role.values:
        of_role = _role_matchers(stack, labels, role)
        workload = labels.workloads.get(role)
        namespace = workload.namespace if workload is not None else None
        values[role.value] = join_matchers((*labels.selector, *of_role, *of_model))
        values[f"{role}_any"] = join_matchers((*labels.selector, *of_role))
        values[f"{role}_target"] = quote(workload.name) if workload is not None else None
        values[f"{role}_namespace"] = str(Matcher("namespace", namespace)) if namespace is not None else ""
    return values


def _role_matchers(stack: StackModel, labels: ServiceLabels, role: Role) -> tuple[Matcher, ...]:
    return labels.roles.get(role, (Matcher(stack.labels.role.name, stack.labels.role.values[role]),))
