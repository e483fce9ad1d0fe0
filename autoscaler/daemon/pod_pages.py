"""Finds the metrics pages of the pods that serve, through the Kubernetes API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.core.policy import Role
from autoscaler.sources.endpoints import INSTANCE, Endpoint, EndpointsError
from autoscaler.targets.kubernetes.aim import Aim
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.errors import KubeError
from autoscaler.targets.kubernetes.pods import is_ready
from autoscaler.targets.kubernetes.refs import JsonObject, ObjectRef


@dataclass(frozen=True, slots=True)
class PodPages:
    """Tells where the pages are now; an `Endpoints` of a scrape source.

    Attributes:
        client: Connection to the cluster.
        aims: Where the count of each role is held; that, or else its scale, tells which pods are the role's.
        labels: Labels of each role's series.
        pod_label: Label that names a replica.
        port: Port of the page.
        path: Path of the page.
    """

    client: KubeClient
    aims: Mapping[Role, Aim]
    labels: Mapping[Role, Mapping[str, str]]
    pod_label: str
    port: int
    path: str

    def __call__(self) -> Sequence[Endpoint]:
        """The pages of all pods that serve.

        Raises:
            EndpointsError: The cluster does not tell; says what failed and what to do about it.
        """
        try:
            return [
                self._endpoint(pod, self.labels[role])
                for role, aimed in self.aims.items()
                for pod in self._pods(aimed)
                if is_ready(pod) and pod["status"].get("podIP")
            ]
        except KubeError as error:
            raise EndpointsError(str(error)) from error

    def _pods(self, aimed: Aim) -> list[JsonObject]:
        selector = aimed.pods or self._selector_of((*aimed.status_refs, aimed.ref)[0])
        return self.client.list_items(ObjectRef.pods(aimed.ref.namespace), label_selector=selector)

    def _selector_of(self, ref: ObjectRef) -> str:
        selector: str = self.client.get(ref, "scale").get("status", {}).get("selector", "")
        if not selector:
            raise EndpointsError(
                f"the scale of {ref} names no pods: it has no selector; give the target's pods, or scrape.endpoints"
            )
        return selector

    def _endpoint(self, pod: JsonObject, labels: Mapping[str, str]) -> Endpoint:
        address: str = pod["status"]["podIP"]
        host = f"[{address}]" if ":" in address else address
        own = {self.pod_label: pod["metadata"]["name"], INSTANCE: f"{host}:{self.port}"}
        return Endpoint(f"http://{host}:{self.port}{self.path}", {**own, **labels})
