"""What holds a pool's replica count: an object of a kind, or a place in the words of a target spec."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from autoscaler.config.base import Strict
from autoscaler.config.refusal import Conflicts
from autoscaler.config.values import KubeLabelName, KubeLabelValue, Matching, Name, Namespace, Text

SpecName = Annotated[str, Matching(r"[a-z0-9][a-z0-9-]*", "lower-case letters, digits and dashes", 63)]


class TargetRef(Strict):
    """The object that holds a pool's replica count."""

    spec: SpecName | None = Field(
        default=None,
        description=(
            "How the count is held, by name, such as dynamo-adapter or kserve-workload: `stacks show` lists those of a "
            "stack. It knows its own apiVersion and kind. Default: what apiVersion and kind say."
        ),
    )
    api_version: Annotated[
        str, Matching(r"([a-z0-9.-]+/)?v[0-9][a-z0-9]*", "a group and version such as apps/v1", 253)
    ] = Field(default="apps/v1", alias="apiVersion", description="Group and version of the object. Default apps/v1.")
    kind: Annotated[str, Matching(r"[A-Z][A-Za-z0-9]*", "a kind such as Deployment or LeaderWorkerSet", 63)] = Field(
        default="Deployment", description="Kind of the object. Default Deployment, which most stacks use."
    )
    name: Name = Field(
        description="Name of the object; with spec, the name that the objects of the service are named after. Required."
    )
    namespace: Namespace | None = Field(
        default=None, description="Namespace of the object. Default: the namespace of the policy."
    )
    entry: Text | None = Field(
        default=None,
        description=(
            "What the object calls this role, where it holds several in a list or a map: VllmDecodeWorker, say. "
            "Default: prefill or decode."
        ),
    )
    pods: dict[KubeLabelName, KubeLabelValue] = Field(
        default={},
        description=(
            "Labels of the role's pods, for kinds that do not tell them, so that pods in trouble and startup times are "
            "seen. Default: what the object or the spec says."
        ),
    )
    max_replicas: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None,
        alias="maxReplicas",
        description=(
            "More replicas than the stack's makers have tested, because you have: HyperPod's single decode replica, "
            "say. Default: the limit of the target, where it has one."
        ),
    )

    @model_validator(mode="after")
    def _is_told_once(self) -> Self:
        conflicts = Conflicts()
        if self.spec is not None:
            for name, key in (("api_version", "apiVersion"), ("kind", "kind")):
                if name in self.model_fields_set:
                    message = f"does not go with spec: {self.spec} knows it"
                    conflicts.add(key, message=message, value=str(getattr(self, name)))
        conflicts.close()
        return self

    @property
    def holds_one_count(self) -> bool:
        """Whether the object is known to have a single replica count, so that two pools cannot share it."""
        return self.spec is None and self.api_version == "apps/v1"

    @property
    def is_workload(self) -> bool:
        """Whether the object makes the pods itself, so that no other one has to be named after it."""
        return (self.spec or self.kind.lower()) in {"deployment", "statefulset", "leaderworkerset"}

    @property
    def pod_selector(self) -> str:
        """`pods` as the API server takes it; empty for none."""
        return ",".join(f"{name}={value}" for name, value in self.pods.items())

    def __str__(self) -> str:
        what = self.spec or self.kind
        return f"{what} {self.namespace}/{self.name}" if self.namespace else f"{what} {self.name}"
