"""A Lease (coordination.k8s.io/v1) as a record, and back as a document."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from autoscaler.kube.times import micro_time_text
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef

API_VERSION = "coordination.k8s.io/v1"
WANTED_BY = "pd-autoscaler.io/wanted-by"


def lease_ref(namespace: str, name: str = "") -> ObjectRef:
    """One Lease, or the Leases of a namespace."""
    return ObjectRef(API_VERSION, "Lease", "leases", namespace, name)


@dataclass(frozen=True, slots=True)
class Lease:
    """What a Lease says.

    Attributes:
        holder: Identity of who holds it; empty while nobody does.
        duration_s: How long it lasts after each renewal.
        acquired: When it was taken, as its holder's clock had it.
        renewed: When it was renewed, as its holder's clock had it.
        transitions: How often it changed hands.
        wanted_by: Who asks its holder to hand it over; for a free one, whom it is kept for.
    """

    holder: str
    duration_s: float
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0
    wanted_by: str = ""

    @classmethod
    def of(cls, document: JsonObject, default_duration_s: float) -> Self:
        """Read a document; what makes no sense in it counts as not there."""
        spec = _mapping(document.get("spec"))
        annotations = _mapping(_mapping(document.get("metadata")).get("annotations"))
        duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
        return cls(
            holder=str(spec.get("holderIdentity") or ""),
            duration_s=float(duration) if isinstance(duration, int) and duration > 0 else default_duration_s,
            acquired=str(spec.get("acquireTime") or ""),
            renewed=str(spec.get("renewTime") or ""),
            transitions=transitions if isinstance(transitions, int) else 0,
            wanted_by=str(annotations.get(WANTED_BY) or ""),
        )

    def taken(self, identity: str, duration_s: float, wall_s: float) -> Self:
        """The same in new hands."""
        now = micro_time_text(wall_s)
        return replace(
            self,
            holder=identity,
            duration_s=duration_s,
            acquired=now,
            renewed=now,
            transitions=self.transitions + 1,
            wanted_by="",
        )

    def kept(self, duration_s: float, wall_s: float) -> Self:
        """The same, renewed; who asked for it is told no."""
        return replace(self, duration_s=duration_s, renewed=micro_time_text(wall_s), wanted_by="")

    def freed(self, wall_s: float, *, kept_for: str = "") -> Self:
        """The same in nobody's hands."""
        return replace(self, holder="", renewed=micro_time_text(wall_s), wanted_by=kept_for)

    def written_to(self, document: JsonObject) -> JsonObject:
        """A document with this record in place of its own; what else it holds stays."""
        spec = {
            "holderIdentity": self.holder or None,
            "leaseDurationSeconds": max(round(self.duration_s), 1),
            "acquireTime": self.acquired or None,
            "renewTime": self.renewed or None,
            "leaseTransitions": self.transitions,
        }
        metadata = _mapping(document.get("metadata"))
        annotations = {key: value for key, value in _mapping(metadata.get("annotations")).items() if key != WANTED_BY}
        if self.wanted_by:
            annotations[WANTED_BY] = self.wanted_by
        return {
            **document,
            "metadata": {**metadata, "annotations": annotations},
            "spec": {**_mapping(document.get("spec")), **spec},
        }


def _mapping(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}
