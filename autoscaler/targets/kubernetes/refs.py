"""Which object is meant, and reading inside one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One namespaced object of any group and version; a collection while `name` is empty.

    Attributes:
        api_version: Group and version as objects carry them: `apps/v1`, or `v1` for the core group.
        kind: As objects carry it; for messages.
        plural: As paths and roles carry it.
    """

    api_version: str
    kind: str
    plural: str
    namespace: str
    name: str = ""

    @classmethod
    def deployment(cls, namespace: str, name: str) -> Self:
        """A Deployment."""
        return cls("apps/v1", "Deployment", "deployments", namespace, name)

    @classmethod
    def pods(cls, namespace: str) -> Self:
        """The pods of a namespace."""
        return cls("v1", "Pod", "pods", namespace)

    @classmethod
    def versions(
        cls, group: str, versions: Iterable[str], kind: str, plural: str, namespace: str, name: str = ""
    ) -> tuple[Self, ...]:
        """An object, or a collection, under each version of its kind."""
        paths = (f"{group}/{version}" if group else version for version in versions)
        return tuple(cls(path, kind, plural, namespace, name) for path in paths)

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def path(self, subresource: str = "") -> str:
        """URL path, the server's address left out."""
        root = "apis" if self.group else "api"
        parts = (root, self.api_version, "namespaces", quote(self.namespace, safe=""), self.plural)
        return "/" + "/".join(part for part in (*parts, quote(self.name, safe=""), subresource) if part)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.name else f"{self.plural} in {self.namespace}"


def guess_plural(kind: str) -> str:
    """The plural of a kind by the rules that Kubernetes' own tools guess by."""
    word = kind.lower()
    if word.endswith("s"):
        return f"{word}es"
    return f"{word.removesuffix('y')}ies" if word.endswith("y") else f"{word}s"


def lookup(document: JsonObject, dotted: str) -> Any:
    """The value at a dotted path of a JSON object; None where there is none."""
    value: Any = document
    for key in dotted.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
