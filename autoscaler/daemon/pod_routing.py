"""Takes pods out of routing, and back in, by the label that the stack's router finds them by.

A controller replaces a pod that its own selector no longer matches, so a label that is part of that selector is left
alone. The value that was taken off is kept on the pod: whoever finds it there can put it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from autoscaler.daemon.pod_marks import WITHDRAWN, MarksError, Pod
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.errors import SHAPE_ERRORS, KubeError, NotFoundError
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef, lookup


class PodRouting:
    """Writes the label of pods.

    Args:
        client: Connection to the cluster.
        label: The label that the router finds pods by.
    """

    def __init__(self, client: KubeClient, label: str) -> None:
        self._client = client
        self._label = label
        self._is_free: dict[ObjectRef, bool] = {}

    def withdraw(self, pods: Sequence[Pod]) -> None:
        """Take pods out of routing: all of them, or none.

        Raises:
            MarksError: They cannot be, or the server does not keep what was written.
        """
        for pod in pods:
            self._require_free(pod)
        try:
            for pod in pods:
                self._take_out(pod)
        except MarksError:
            with suppress(MarksError):
                self.readmit(pods)
            raise

    def readmit(self, pods: Sequence[Pod]) -> None:
        """Put pods back into routing; those that are gone by now are not missed.

        Raises:
            MarksError: The server refuses.
        """
        for pod in pods:
            with suppress(_GoneError):
                self._write(pod, pod.withdrawn or pod.labels[self._label], None)

    def _require_free(self, pod: Pod) -> None:
        """Make sure that the pod can do without the label.

        Raises:
            MarksError: It has none, or its controller would replace it.
        """
        if not pod.labels.get(self._label):
            raise MarksError(f"{pod.ref} has no label {self._label}, by which the router finds pods")
        if pod.controller is None or not self._is_free_for(pod.controller):
            raise MarksError(
                f"{pod.controller or pod.ref} selects its pods by {self._label}, and would replace those without it: "
                "leave that label out of its selector"
            )

    def _take_out(self, pod: Pod) -> None:
        changed = self._write(pod, None, pod.labels[self._label])
        labels = lookup(changed, "metadata.labels")
        if isinstance(labels, dict) and self._label in labels:
            raise MarksError(f"{pod.ref}: somebody puts the label {self._label} back")

    def _is_free_for(self, controller: ObjectRef) -> bool:
        """Whether a controller's selector, which never changes, leaves the label out."""
        if controller not in self._is_free:
            try:
                selector = lookup(self._client.get(controller), "spec.selector") or {}
                also = [one["key"] for one in selector.get("matchExpressions", [])]
                named = {*selector.get("matchLabels", {}), *also}
            except KubeError as error:
                raise MarksError(str(error)) from error
            except SHAPE_ERRORS as error:
                raise MarksError(f"the selector of {controller} has an unknown form: {error!r}") from error
            self._is_free[controller] = bool(named) and self._label not in named
        return self._is_free[controller]

    def _write(self, pod: Pod, value: str | None, kept: str | None) -> JsonObject:
        change = {"metadata": {"labels": {self._label: value}, "annotations": {WITHDRAWN: kept}}}
        try:
            return self._client.patch(pod.ref, change)
        except NotFoundError as error:
            raise _GoneError(str(error)) from error
        except KubeError as error:
            raise MarksError(str(error)) from error


class _GoneError(MarksError):
    """The pod is gone."""
