"""Policies that are objects in the cluster: the last good version of each is what counts, as with files.

Who may write such an object is not always who runs the daemon: `tenancy` says what one may not do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from autoscaler.config import LoadedPolicy, Problem, ReloadReport
from autoscaler.config.load import FileReport, clashes, parse
from autoscaler.config.model import KIND
from autoscaler.config.store import Stamps, stamps_of_named
from autoscaler.daemon.tenancy import Tenancy
from autoscaler.kube.crd import policy_ref
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef


class ObjectSource(Protocol):
    """Knows the objects of a collection."""

    @property
    def objects(self) -> Mapping[str, JsonObject] | None:
        """The objects by namespace/name; None before they could be listed."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyObject:
    """A policy as an object of the cluster.

    Attributes:
        ref: Which one.
        uid: Of it.
        generation: Of its spec.
        status: What its status says.
    """

    ref: ObjectRef
    uid: str
    generation: int
    status: JsonObject

    @classmethod
    def of(cls, document: JsonObject) -> PolicyObject:
        """Read a document."""
        metadata = document["metadata"]
        ref = policy_ref(metadata.get("namespace", ""), metadata["name"])
        return cls(ref, metadata["uid"], metadata.get("generation", 0), document.get("status") or {})


@dataclass(slots=True)
class _Seen:
    text: str
    named: Stamps
    report: FileReport
    good: LoadedPolicy | None = None


class WatchedPolicies:
    """The policies of the cluster, as of the last reload; the same seam as `config.store.PolicyStore`.

    Args:
        source: The objects.
        tenancy: What they may do.
    """

    def __init__(self, source: ObjectSource, tenancy: Tenancy) -> None:
        self._source = source
        self._tenancy = tenancy
        self._seen: dict[str, _Seen] = {}
        self._objects: Mapping[str, JsonObject] = {}
        self._policies: dict[str, LoadedPolicy] = {}
        self._owners: dict[str, str] = {}
        self._problems: dict[str, list[Problem]] = {}

    @property
    def policies(self) -> Mapping[str, LoadedPolicy]:
        """The last good policy of every service."""
        return self._policies

    @property
    def errors(self) -> tuple[Problem, ...]:
        """All errors that stand now."""
        return tuple(problem for found in self._problems.values() for problem in found)

    @property
    def problems(self) -> Mapping[str, list[Problem]]:
        """Errors by namespace/name of the object."""
        return self._problems

    @property
    def synced(self) -> bool:
        """Whether the objects have been seen at all."""
        return self._source.objects is not None

    def object(self, key: str) -> PolicyObject | None:
        """An object by namespace/name."""
        document = self._objects.get(key)
        return PolicyObject.of(document) if document is not None else None

    def object_of(self, service: str) -> PolicyObject | None:
        """The object that the policy of a service comes from."""
        key = self._owners.get(service)
        return self.object(key) if key is not None else None

    def reload(self) -> ReloadReport:
        """Look at the objects again. Never raises for a bad policy."""
        self._objects = self._source.objects or {}
        for key in self._seen.keys() - self._objects.keys():
            del self._seen[key]
        for key, document in self._objects.items():
            self._refresh(key, document)
        before, known = self._policies, set(self.errors)
        self._settle()
        new = tuple(error for error in self.errors if error not in known)
        kept = tuple(name for name, key in self._owners.items() if self._problems.get(key))
        return ReloadReport.between(before, self._policies, new, kept)

    def _refresh(self, key: str, document: JsonObject) -> None:
        """Read an object if what matters of it has changed, or a file that it names; its status does not matter."""
        known = self._seen.get(key)
        text = json.dumps(_essence(document))
        named = stamps_of_named(known.report) if known is not None else ()
        if known is not None and (known.text, known.named) == (text, named):
            return
        report = parse(text.encode(), Path(KIND.lower()) / key, self._tenancy.files)
        report = replace(
            report, errors=(*report.errors, *(p for one in report.policies for p in self._tenancy.problems(one)))
        )
        good = known.good if known is not None else None
        self._seen[key] = _Seen(text, named, report, good if report.errors else report.policies[0])

    def _settle(self) -> None:
        """Give each service to the oldest object that claims it, the same one in every daemon."""
        claimed: dict[str, LoadedPolicy] = {}
        policies: dict[str, LoadedPolicy] = {}
        owners: dict[str, str] = {}
        problems: dict[str, list[Problem]] = {}
        for key in sorted(self._seen, key=lambda key: (_created(self._objects[key]), key)):
            seen = self._seen[key]
            found = list(seen.report.errors)
            if seen.good is not None:
                quarrels = clashes(seen.good, claimed)
                found += quarrels
                if not quarrels:
                    policies[seen.good.policy.service], owners[seen.good.policy.service] = seen.good, key
            if found:
                problems[key] = found
        self._policies, self._owners, self._problems = policies, owners, problems


def _essence(document: JsonObject) -> JsonObject:
    """What of an object is the policy."""
    metadata = document["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace", "labels", "annotations") if metadata.get(key)}
    return {**{key: document[key] for key in ("apiVersion", "kind", "spec") if key in document}, "metadata": kept}


def _created(document: JsonObject) -> str:
    return str(document["metadata"].get("creationTimestamp", ""))
