"""Reads an object under whichever of its API versions the server serves."""

from __future__ import annotations

from typing import Protocol

from autoscaler.targets.kubernetes.errors import NotFoundError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef
from autoscaler.targets.role import UnreadableError


class Getter(Protocol):
    """Reads objects."""

    def get(self, ref: ObjectRef, subresource: str = "") -> JsonObject:
        """One object, or a part of it; raises a KubeError."""
        ...


class ServedObject:
    """One object, and the version that it was last found under.

    Args:
        client: Connection to the cluster.
        refs: The object under each version to try, the one to prefer first.
    """

    def __init__(self, client: Getter, refs: tuple[ObjectRef, ...]) -> None:
        self._client = client
        self._refs = refs
        self._found: ObjectRef | None = None

    @property
    def ref(self) -> ObjectRef:
        """The object under the version that is served, or to prefer while that is not known."""
        return self._found or self._refs[0]

    def get(self) -> JsonObject:
        """Read the object.

        Raises:
            KubeError: See `errors`.
            UnreadableError: The server serves none of the versions.
        """
        known = [self._found] if self._found else []
        for ref in [*known, *self._refs]:
            try:
                document = self._client.get(ref)
            except NotFoundError as error:
                if not error.unserved:
                    raise
                continue
            self._found = ref
            return document
        self._found = None
        tried = ", ".join(ref.api_version for ref in self._refs)
        raise UnreadableError(
            f"{self.ref}: the server serves no {self.ref.plural} in {tried}: is its CRD installed, and in which "
            f"version? kubectl get crd {self.ref.plural}.{self.ref.group} shows it"
        )
