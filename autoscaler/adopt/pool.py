"""What is known of a pool before it is ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoscaler.targets.kubernetes.refs import JsonObject


@dataclass(frozen=True, slots=True)
class Part:
    """What an object that holds the count of a part of another one is told by.

    Attributes:
        spec: The target spec.
        whole: Name of the other one.
        entry: What that calls the part.
    """

    spec: str
    whole: str
    entry: str


@dataclass(frozen=True, slots=True)
class Workload:
    """The object that is scaled.

    Attributes:
        replicas: What it asks for today; None where it cannot be read.
        gpus_per_replica: GPUs that one pod asks for; None where its template does not say.
        model: Served model name, from the engine's command line; None where it does not say.
        labels: Its own labels and those of its pods.
        images: Images of its containers.
        part: What it is a part of; None where it holds its own count.
    """

    api_version: str
    kind: str
    name: str
    replicas: int | None = None
    gpus_per_replica: float | None = None
    model: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool and who sets its count today.

    Attributes:
        setter: Who does, for people: `HorizontalPodAutoscaler prefill`.
        workload: What is scaled.
        min_replicas: Its lower bound; may be 0.
        max_replicas: Its upper bound.
        is_fixed: Whether nobody is known to set its count.
        behavior: As an HPA words it; empty where it has none.
        bounds_note: Where the bounds come from, if that is not plain.
        fallback_replicas: Where it goes when its signals fail; None where it stays.
        fallback_after_s: After how long.
        prometheus_url: The server that it asks; None where it does not say.
        lost: What has no counterpart in a policy, and what becomes of it.
        rivals: Who else sets the count, or may, and what to do about it.
        hand_over: Commands that let go of the count without changing it, `{replicas}` for today's.
        hand_back: Commands that undo that.
    """

    setter: str
    workload: Workload
    min_replicas: int
    max_replicas: int
    is_fixed: bool = False
    behavior: JsonObject = field(default_factory=dict)
    bounds_note: str = ""
    fallback_replicas: int | None = None
    fallback_after_s: float | None = None
    prometheus_url: str | None = None
    lost: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    hand_over: tuple[str, ...] = ()
    hand_back: tuple[str, ...] = ()
