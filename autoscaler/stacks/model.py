"""The form of a stack file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from autoscaler.core.policy import Role
from autoscaler.core.signals import CATALOGUE, Scope
from autoscaler.stacks.base import Strict, Text
from autoscaler.stacks.candidates import Candidates, Dispatch, LabelName, SignalModel
from autoscaler.stacks.errors import did_you_mean
from autoscaler.stacks.facts import FactsModel

Window = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[smh]$")]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
TermName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]*$")]
WorkloadName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]*\{name\}[a-z0-9-]*$")]


class NamesModel(Strict):
    """How metric names begin.

    Scrapes and relabelling change the beginning of all names at once: a colon becomes an underscore, a prefix is added.

    Attributes:
        prefix: The beginning that the expressions of this file are written with.
        spellings: The beginnings to look for, likeliest first.
        probe: A metric that every replica exports at all times.
    """

    prefix: MetricName
    spellings: Annotated[tuple[MetricName, ...], Field(min_length=1)]
    probe: MetricName

    @model_validator(mode="after")
    def _the_probe_has_the_prefix(self) -> Self:
        if not self.probe.startswith(self.prefix):
            raise ValueError(f"probe has to begin with the prefix {self.prefix}")
        return self


class RoleLabelModel(Strict):
    """The label that tells the roles apart, and per role, prefill and decode at least, its value, or a pattern of it.

    A pattern also fits the plain name of its role, which stands for it where pods are scraped without Prometheus.
    """

    name: LabelName
    match: Literal["exact", "regex"] = "exact"
    values: Mapping[Role, str]

    @model_validator(mode="after")
    def _both_roles_are_told(self) -> Self:
        missing = [role for role in (Role.PREFILL, Role.DECODE) if role not in self.values]
        if missing:
            raise ValueError(f"values lacks {' and '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _patterns_fit_their_role_alone(self) -> Self:
        if self.match == "regex":
            for role, pattern in self.values.items():
                try:
                    fitting = [other for other in self.values if re.fullmatch(pattern, other.value)]
                except (re.error, OverflowError, RecursionError) as error:
                    raise ValueError(f"values.{role} is {pattern[:60]!r}, which is no pattern: {error}") from error
                if fitting != [role]:
                    found = ", ".join(fitting) or "no role"
                    raise ValueError(f"values.{role} has to fit the text {role} and no other role; it fits {found}")
        return self


class LabelsModel(Strict):
    """Label names of the engines' series; what a file leaves out is as in the engine's own.

    Attributes:
        pod: Names a replica.
        model: Names the model.
        role: Tells prefill from decode.
        fixed: Labels with a value that every series of the engines has; an empty value is a label that none has.
    """

    pod: LabelName | None = None
    model: LabelName | None = None
    role: RoleLabelModel | None = None
    fixed: Mapping[LabelName, str] = {}


class GatewayModel(Strict):
    """Label names of the series of the gateway in front of the engines.

    Attributes:
        model: Names the model.
        lowercase: Whether releases of the gateway write the model's name in lower case; both spellings count.
        selector: Labels of the service's selector that the gateway's series have too; the others are left out.
        fixed: As in `LabelsModel`.
    """

    model: LabelName
    lowercase: bool = False
    selector: tuple[LabelName, ...] = ()
    fixed: Mapping[LabelName, str] = {}


class WindowsModel(Strict):
    """Ranges: `control` for signals that drive replicas, `shape` for what a workload looks like."""

    control: Window
    shape: Window


class ReplicasModel(Strict):
    """Replica counts of a pool without the Kubernetes API; `$pool…` placeholders stand for the role."""

    asked_for: Candidates
    ready: Candidates


class GenerationModel(Strict):
    """Versions that can be told by a series which only they have."""

    versions: Text
    probe: Text


class StackModel(Strict):
    """One stack file.

    A file either stands alone, or names the engines that its replicas may run; what it does not say itself is then as
    in the file of the engine.

    Attributes:
        name: As the file is called, and as policies name it.
        title: What its makers call it.
        versions: Versions that this file is for.
        read: What was read to write it.
        like: A stack that this file starts from; what is said here is said instead, signal by signal.
        engines: Stack files of the engines, likeliest first, each with the spellings to look for; none given are
            those of the engine's file.
        names: How metric names begin; for a file that stands alone.
        beside: Other beginnings in the expressions, which a scrape changes along with that of the engine.
        labels: Label names of the engines' series.
        gateway: Label names of the gateway's series.
        dispatch: That of the stack's usual proxy.
        windows: Ranges.
        terms: Parts that several expressions share; `$name` stands for one.
        signals: By scope and canonical name.
        replicas: Replica counts out of metrics.
        workloads: Name of each role's Deployment or StatefulSet, where the target is none itself.
        generations: Version families, newest first.
        buckets: How to change the bounds of the latency histograms.
        stream: How long the slowest request of a hundred stays on decode, in seconds.
        facts: What is scaled and how.
    """

    name: Text
    title: Text
    versions: Text
    read: Text
    like: str | None = None
    engines: Mapping[str, tuple[MetricName, ...]] = {}
    names: NamesModel | None = None
    beside: tuple[MetricName, ...] = ()
    labels: LabelsModel = LabelsModel()
    gateway: GatewayModel | None = None
    dispatch: Dispatch | None = None
    windows: WindowsModel | None = None
    terms: Mapping[TermName, Text] = {}
    signals: Mapping[Scope, Mapping[str, SignalModel]] = {}
    replicas: ReplicasModel | None = None
    workloads: Mapping[Role, WorkloadName] = {}
    generations: tuple[GenerationModel, ...] = ()
    buckets: str = ""
    stream: Candidates | None = None
    facts: FactsModel

    @model_validator(mode="after")
    def _signals_are_canonical(self) -> Self:
        for scope, signals in self.signals.items():
            require_canonical(scope, signals)
        return self

    @model_validator(mode="after")
    def _stands_alone_or_has_engines(self) -> Self:
        own = {"names": self.names, "dispatch": self.dispatch, "windows": self.windows, "replicas": self.replicas}
        own |= {f"labels.{key}": getattr(self.labels, key) for key in ("pod", "model", "role")}
        missing = [key for key, value in own.items() if value is None]
        if not self.engines and missing:
            raise ValueError(f"a stack without engines needs {', '.join(missing)}")
        if self.engines and self.names is not None:
            raise ValueError("names belongs to the files of the engines; spellings stand beside each engine")
        return self


def require_canonical(scope: Scope, names: Mapping[str, object]) -> None:
    """Refuse names that the catalogue of signals does not have.

    Raises:
        ValueError: With the name, the nearest one and all that are allowed.
    """
    for name in names:
        if name not in CATALOGUE[scope]:
            raise ValueError(f"signals.{scope}.{name} is no signal; {did_you_mean(name, CATALOGUE[scope])}")
