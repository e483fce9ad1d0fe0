"""The document that a user writes: apiVersion, kind, metadata, spec."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from autoscaler.config.base import Strict
from autoscaler.config.connection import Prometheus, Scrape
from autoscaler.config.engine import Engine
from autoscaler.config.feasible import check_counts
from autoscaler.config.files import FILES, FileRefusedError, NamedFile, PolicyFiles, read_named
from autoscaler.config.problems import nearest
from autoscaler.config.promql import Query
from autoscaler.config.refusal import Conflicts
from autoscaler.config.roles import Labels, Roles
from autoscaler.config.schedule import Schedule, scheduled
from autoscaler.config.switch import Switch
from autoscaler.config.target import TargetRef
from autoscaler.config.values import Duration, Matching, Name, Namespace, Percentile, Ratio, Text
from autoscaler.core import policy as plain
from autoscaler.core.engines import UnknownEngineError
from autoscaler.core.signals import CATALOGUE, Scope

API_VERSION = "pd-autoscaler.io/v1alpha1"
KIND = "ScalingPolicy"
_DEFAULT_NAMESPACE = "default"

Queries = dict[str, Annotated[str, Query()]]


class Dispatch(StrEnum):
    """How the proxy in front sends a request to the two pools."""

    SEQUENTIAL = "sequential"
    CONCURRENT = "concurrent"


class Metadata(Strict):
    """Name and place of the policy, as of any Kubernetes object."""

    name: Name = Field(description="Name of the service, unique among all policies of a daemon. Required.")
    namespace: Namespace = Field(
        default=_DEFAULT_NAMESPACE,
        description="Namespace of the targets that name none. Default: the one called default, as kubectl's.",
    )
    labels: dict[str, str] = Field(
        default={}, description="Labels for your own use; nothing is read from them. Default none."
    )
    annotations: dict[str, str] = Field(
        default={},
        description="Notes for your own use. Only pd-autoscaler.io/pause, grow-only and pin are read: they hold pools. "
        "Default none.",
    )


class Latency(Strict):
    """A latency that most requests have to keep."""

    percentile: Annotated[float, Percentile()] = Field(
        default=0.95,
        description="Share of requests that has to meet the target: p95, 95, 95% or 0.95. Default p95, the usual one.",
    )
    target_s: float

    def core(self) -> plain.LatencyObjective:
        """The same as plain data."""
        return plain.LatencyObjective(self.percentile, self.target_s)


class Ttft(Latency):
    """Time to first token."""

    target_s: Annotated[float, Duration(0.001, 3_600, "2s")] = Field(
        alias="target", description="Longest time to first token, as the user sees it, such as 2s. Required."
    )


class Tpot(Latency):
    """Time per output token."""

    target_s: Annotated[float, Duration(0.0001, 600, "50ms")] = Field(
        alias="target", description="Longest mean time between output tokens of a request, such as 50ms. Required."
    )


class Objectives(Strict):
    """What the service promises its users."""

    ttft: Ttft = Field(description="Time to first token. Required.")
    tpot: Tpot = Field(description="Time per output token. Required.")
    attainment: Annotated[float, Ratio("99%")] = Field(
        default=0.99,
        description=(
            "Share of requests that meet both targets, such as 99% or 0.99; headroom follows it. Default 99%: one "
            "request in a hundred may miss, which leaves an error budget to steer by."
        ),
    )

    def core(self) -> plain.Objectives:
        """The same as plain data."""
        return plain.Objectives(self.ttft.core(), self.tpot.core(), self.attainment)


class SignalQueries(Strict):
    """Queries that replace those of the stack, by scope and canonical name."""

    prefill: Queries = Field(default={}, description="Signals of the prefill pool. Default: those of the stack.")
    decode: Queries = Field(default={}, description="Signals of the decode pool. Default: those of the stack.")
    service: Queries = Field(default={}, description="Signals of the service as a whole. Default: those of the stack.")

    @model_validator(mode="after")
    def _names_are_canonical(self) -> Self:
        conflicts = Conflicts()
        for scope, queries in self.by_scope().items():
            known = CATALOGUE[scope]
            for name in queries:
                if name not in known:
                    message = "is no signal of this scope"
                    conflicts.add(
                        scope.value, name, message=message, allowed=", ".join(known), nearest=nearest(name, known)
                    )
        conflicts.close()
        return self

    def by_scope(self) -> dict[Scope, dict[str, str]]:
        """The queries by scope."""
        return {Scope.PREFILL: self.prefill, Scope.DECODE: self.decode, Scope.SERVICE: self.service}


class RatioBand(Strict):
    """Limits of prefill replicas per decode replica."""

    min_ratio: float = Field(default=0.0, alias="min", ge=0, description="Least prefill per decode. Default 0.")
    max_ratio: float = Field(alias="max", gt=0, le=1_000, description="Most prefill per decode, such as 4. Required.")

    @model_validator(mode="after")
    def _is_a_band(self) -> Self:
        conflicts = Conflicts()
        if self.min_ratio > self.max_ratio:
            message = f"is more than max, {self.max_ratio:g}"
            conflicts.add("min", message=message, value=f"{self.min_ratio:g}", allowed=f"0 to {self.max_ratio:g}")
        conflicts.close()
        return self

    def core(self) -> plain.RatioBand:
        """The same as plain data."""
        return plain.RatioBand(self.min_ratio, self.max_ratio)


class Spec(Strict):
    """What the service is, what it promises, and how its pools may move."""

    stack: Annotated[str, Matching(r"[a-z0-9][a-z0-9-]*", "the name of a stack, such as vllm", 63)] | None = Field(
        default=None,
        description=(
            "Serving stack: names the metrics and how replicas are counted, such as vllm. Required, unless stackFile "
            "brings one."
        ),
    )
    stack_file: Text | None = Field(
        default=None,
        alias="stackFile",
        description=(
            "A stack file of your own in place of a stack by name, such as my.stack.yaml. A path from the policy's "
            "folder. Default: none."
        ),
    )
    model: Text | None = Field(
        default=None,
        description=(
            "Model name as the engine exports it in its metrics, such as meta-llama/Llama-3.1-70B-Instruct. Default: "
            "none, the selector alone tells the service's series from others."
        ),
    )
    mode: Annotated[plain.Mode, Field(strict=False)] = Field(
        default=plain.Mode.RECOMMEND,
        description=(
            "How far a decision goes: recommend writes nothing, server-dry-run lets the API server check the write and "
            "drop it, enforce scales. Default recommend: trust comes first."
        ),
    )
    interval_s: Annotated[float, Duration(1, 600, "15s")] = Field(
        default=15.0, alias="interval", description="Time between two decisions. Default 15s, as an HPA."
    )
    dispatch: Annotated[Dispatch, Field(strict=False)] | None = Field(
        default=None,
        description=(
            "How the proxy sends a request to prefill and decode: one after the other (sequential) or both at once "
            "(concurrent); decides where TTFT is measured. Default: that of the stack."
        ),
    )
    engine: Engine | None = Field(
        default=None,
        description=(
            "What one replica is believed to be able to do, to start from; live signals correct it. Default: none, "
            "rules decide until the signals alone pin a model down."
        ),
    )
    ratio: RatioBand | None = Field(
        default=None, description="Limits of prefill replicas per decode replica. Default: none, the ratio is free."
    )
    max_gpus: float | None = Field(
        default=None,
        alias="maxGpus",
        gt=0,
        le=1_000_000,
        description="Most GPUs that both pools together may hold. Default: none, max of each pool is the only limit.",
    )
    selector: Labels = Field(
        default={},
        description=(
            "Labels, with their exact values, that every query of this service gets, such as its namespace. "
            "Default none."
        ),
    )
    gateway_selector: Labels = Field(
        default={},
        alias="gatewaySelector",
        description=(
            "Labels, with their exact values, that queries of the gateway or router in front get, beside those of "
            "selector that its series have too. Default none."
        ),
    )
    objectives: Objectives = Field(description="What the service promises. Required.")
    roles: Roles = Field(description="The two pools. Required.")
    switch: Switch | None = Field(
        default=None,
        description=(
            "Whether prefill and decode are served apart, decided here. Default: none, the stack's switch stays."
        ),
    )
    schedules: Annotated[tuple[Schedule, ...], Field(strict=False)] = Field(
        default=(),
        description=(
            "Other bounds at certain hours. Of several that hold, the last in this list that names a pool sets its "
            "bounds. Default: none, the bounds of the pools hold always."
        ),
    )
    signals: SignalQueries = Field(
        default=SignalQueries(),
        description=(
            "PromQL in place of the stack's query, by scope and signal, in the signal's unit. Default: the stack's."
        ),
    )
    stale_after_s: Annotated[float, Duration(1, 3_600, "60s")] = Field(
        default=60.0,
        alias="staleAfter",
        description=(
            "A signal whose newest sample is older may not be used. Default 60s: two missed scrapes at the usual 30s."
        ),
    )
    fallback_after_s: Annotated[float, Duration(1, 86_400, "10m")] = Field(
        default=600.0,
        alias="fallbackAfter",
        description=(
            "How long the signals may be unusable before fallbackReplicas applies. Default 10m: longer than a restart "
            "of Prometheus, so that only a real outage moves replicas."
        ),
    )
    scrape: Scrape | None = Field(
        default=None,
        description="Read the pods' metrics pages instead of asking a Prometheus server. Default: Prometheus.",
    )
    prometheus: Prometheus | None = Field(
        default_factory=lambda given: None if given.get("scrape") is not None else Prometheus(),
        description="The Prometheus server to ask. Default: the one that --prometheus names on the command line.",
    )
    _own_stack: NamedFile | None = PrivateAttr(default=None)
    _files: PolicyFiles = PrivateAttr(default=PolicyFiles())

    @property
    def own_stack(self) -> NamedFile | None:
        """The stack file as it was when the policy was loaded; None where the stack has a name."""
        return self._own_stack

    @property
    def files(self) -> PolicyFiles:
        """What files it may name."""
        return self._files

    @model_validator(mode="after")
    def _parts_fit(self, info: ValidationInfo) -> Self:
        conflicts = Conflicts()
        self._files = (info.context or {}).get(FILES, self._files)
        self._find_stack(conflicts)
        if self.scrape is not None and self.prometheus is not None:
            conflicts.add("scrape", message="does not go with prometheus", allowed="one of prometheus, scrape")
        self._engine_is_known(conflicts)
        band = self.ratio.core() if self.ratio is not None else None
        check_counts(conflicts, self.roles, self.schedules, band, self.max_gpus)
        conflicts.close()
        return self

    def _find_stack(self, conflicts: Conflicts) -> None:
        if (self.stack is None) == (self.stack_file is None):
            allowed = "one of stack, stackFile"
            if self.stack is None:
                conflicts.add("stack", message="is missing: which serving stack is it?", allowed=allowed)
            else:
                conflicts.add("stackFile", message="does not go with stack", value=self.stack_file, allowed=allowed)
        elif self.stack_file is not None:
            try:
                self._own_stack = read_named(self._files.path(self.stack_file))
            except FileRefusedError as error:
                conflicts.add("stackFile", message=str(error), value=self.stack_file)

    def _engine_is_known(self, conflicts: Conflicts) -> None:
        try:
            if self.engine is not None:
                self.engine.prior(self.model)
        except UnknownEngineError as error:
            known = "fully known" if self.engine is not None and self.engine.profile else "in the built-in table"
            conflicts.add("engine", message=f"is not {known}: {error}; or give engine.timing")


class ScalingPolicy(Strict):
    """One service: its objectives, its pools, their bounds and behaviour, and where its signals come from."""

    api_version: Literal["pd-autoscaler.io/v1alpha1"] = Field(
        alias="apiVersion", description=f"Version of this document's form, {API_VERSION}. Required."
    )
    kind: Literal["ScalingPolicy"] = Field(description=f"Kind of this document, {KIND}. Required.")
    metadata: Metadata = Field(description="Name and place of the policy. Required.")
    spec: Spec = Field(description="What the service is and what it promises. Required.")

    @model_validator(mode="after")
    def _pools_have_targets_of_their_own(self) -> Self:
        conflicts = Conflicts()
        targets = self.targets()
        prefill, decode = targets[plain.Role.PREFILL], targets[plain.Role.DECODE]
        if prefill == decode and prefill.holds_one_count:
            message = "is the target of prefill too, and has only one replica count"
            conflicts.add("spec", "roles", "decode", "target", message=message, value=str(decode))
        conflicts.close()
        return self

    @property
    def service(self) -> str:
        """Name of the service."""
        return self.metadata.name

    def targets(self) -> dict[plain.Role, TargetRef]:
        """The target of every pool, each with its namespace."""
        return {
            role: pool.target.model_copy(update={"namespace": pool.target.namespace or self.metadata.namespace})
            for role, pool in self.spec.roles.by_role().items()
        }

    def at(self, policy: plain.ServicePolicy, now_s: float) -> plain.ServicePolicy:
        """What `core` gave, with the bounds that its schedules set at a moment (Unix time)."""
        return scheduled(self.spec.schedules, policy, now_s)

    def core(self) -> plain.ServicePolicy:
        """What deciding needs of it, as plain data, with the bounds of the pools themselves."""
        spec = self.spec
        pools = {role: pool.core() for role, pool in spec.roles.by_role().items()}
        if spec.engine is not None:
            prior = spec.engine.prior(spec.model)
            pools = {
                role: replace(pool, engine=prior.model, engine_source=prior.source) for role, pool in pools.items()
            }
        return plain.ServicePolicy(
            service=self.service,
            roles=pools,
            mode=spec.mode,
            objectives=spec.objectives.core(),
            interval_s=spec.interval_s,
            stale_after_s=spec.stale_after_s,
            fallback_after_s=spec.fallback_after_s,
            ratio=spec.ratio.core() if spec.ratio is not None else None,
            budget_gpus=spec.max_gpus,
            switch=spec.switch.core() if spec.switch is not None else None,
        )
