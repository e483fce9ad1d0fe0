"""The pools of a service: what holds their replica count, their bounds, their speed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from autoscaler.config.base import Strict
from autoscaler.config.behavior import Behavior
from autoscaler.config.plugins import BUILT_IN, Plugin, PluginError, find_plugin
from autoscaler.config.refusal import Conflicts
from autoscaler.config.target import TargetRef
from autoscaler.config.values import Duration, LabelName, Matching
from autoscaler.core import policy as plain

MOST_REPLICAS = 10_000
"""The largest bound that a policy takes."""
_Replicas = Annotated[int, Field(le=MOST_REPLICAS)]
Labels = dict[LabelName, str]


class RolePolicyChoice(Strict):
    """A role policy of your own in place of the built-in one. Guards, bounds and budget apply to it all the same."""

    name: Annotated[str, Matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "the name of an entry point", 63)] = Field(
        default=BUILT_IN,
        description="Name under which a package has registered it, such as requests-per-replica. Default auto, ours.",
    )
    settings: dict[str, Any] = Field(
        default={}, description="Settings that it declares, checked by its own model. Default: its defaults."
    )
    _plugin: Plugin | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _is_installed(self) -> Self:
        conflicts = Conflicts()
        if self.name == BUILT_IN:
            for key in self.settings:
                conflicts.add("settings", key, message="is no setting of role policy auto", allowed="none")
        else:
            try:
                self._plugin = find_plugin(self.name)
                self._plugin.bind(self.settings)
            except PluginError as error:
                conflicts.found += error.conflicts
        conflicts.close()
        return self

    def put_into(self, pool: plain.RolePolicy) -> plain.RolePolicy:
        """The pool with this role policy proposing for it."""
        if self._plugin is None:
            return pool
        settings, propose = self._plugin.bind(self.settings)
        return replace(pool, proposal=self.name, settings=settings, propose=propose)


class RoleSpec(Strict):
    """One pool: what to scale, between which bounds, how fast."""

    target: TargetRef = Field(description="The object that holds the replica count. Required.")
    selector: Labels = Field(
        default={},
        description=(
            "Labels, with their exact values, that tell this pool's series from the other pool's. Default: the role "
            "label of the stack."
        ),
    )
    min_replicas: Annotated[_Replicas, Field(ge=0)] = Field(
        default=1,
        alias="min",
        description=(
            "Never fewer replicas. Default 1: a pool at zero makes its next request wait for a whole startup. "
            "At least 1 for decode, without which nothing is served."
        ),
    )
    max_replicas: Annotated[_Replicas, Field(ge=1)] = Field(
        alias="max", description="Never more replicas; what you are ready to pay for. Required."
    )
    gpus_per_replica: Annotated[float, Field(gt=0, le=4_096)] = Field(
        default=1.0,
        alias="gpusPerReplica",
        description="GPUs that one replica holds; the unit in which savings are counted. Default 1.",
    )
    startup_time_s: Annotated[float, Duration(1, 7_200, "240s")] = Field(
        default=300.0,
        alias="startupTime",
        description=(
            "From a replica's creation to its first served request: how far to look ahead, and how long to keep an "
            "idle replica, until measured startups replace it. Default 5m: image, weights and warm-up of a large model."
        ),
    )
    fallback_replicas: Annotated[_Replicas, Field(ge=0)] | None = Field(
        default=None,
        alias="fallbackReplicas",
        description=(
            "Replicas to grow to when the signals have been unusable for fallbackAfter; a pool never shrinks to them. "
            "Default: none, hold what there is, because without signals any change is a guess."
        ),
    )
    behavior: Behavior = Field(
        default=Behavior(), description="How fast the pool may move, in the words of an HPA. Default: see its parts."
    )
    policy: RolePolicyChoice = Field(
        default=RolePolicyChoice(),
        description="Who proposes the number of replicas. Default: auto, the policy that follows the objectives.",
    )

    @model_validator(mode="after")
    def _bounds_are_feasible(self) -> Self:
        conflicts = Conflicts()
        low, high, fallback = self.min_replicas, self.max_replicas, self.fallback_replicas
        if low > high:
            conflicts.add("min", message=f"is more than max, {high}", value=str(low), allowed=f"0 to {high}")
        elif fallback is not None and not low <= fallback <= high:
            message = "is outside of min and max"
            conflicts.add("fallbackReplicas", message=message, value=str(fallback), allowed=f"{low} to {high}")
        conflicts.close()
        return self

    def core(self) -> plain.RolePolicy:
        """The same as plain data."""
        pool = plain.RolePolicy(
            min_replicas=self.min_replicas,
            max_replicas=self.max_replicas,
            gpus_per_replica=self.gpus_per_replica,
            startup_time_s=self.startup_time_s,
            behavior=self.behavior.core(),
            fallback_replicas=self.fallback_replicas,
        )
        return self.policy.put_into(pool)


class Roles(Strict):
    """The two pools of the service."""

    prefill: RoleSpec = Field(description="The pool that reads prompts. Required.")
    decode: RoleSpec = Field(description="The pool that writes tokens. Required.")

    @model_validator(mode="after")
    def _decode_is_never_empty(self) -> Self:
        conflicts = Conflicts()
        if self.decode.min_replicas < 1:
            message = "leaves the service without a decode replica, and nothing would be served"
            conflicts.add("decode", "min", message=message, value="0", allowed=f"1 to {self.decode.max_replicas}")
        conflicts.close()
        return self

    def by_role(self) -> dict[plain.Role, RoleSpec]:
        """The pools by role."""
        return {plain.Role.PREFILL: self.prefill, plain.Role.DECODE: self.decode}
