from __future__ import annotations

from tests.support.kube import Cluster
from tests.support.kube_api.manifests import deployment
from tests.support.kube_api.patch import JSON_PATCH, MERGE_PATCH


def test_a_stale_resource_version_is_409_on_a_merge_patch(kube_api: Cluster) -> None:
    old = kube_api.create("deployments", deployment("decode", replicas=2))
    kube_api.patch("apps/v1", "deployments", "decode", {"spec": {"replicas": 3}})
    change = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "spec": {"replicas": 4}}
    path = kube_api.path("apps/v1", "deployments", "decode", "scale")

    code, answer = kube_api.request("PATCH", path, change, content_type=MERGE_PATCH)

    assert (code, answer["reason"]) == (409, "Conflict")


def test_a_failed_json_patch_test_is_422(kube_api: Cluster) -> None:
    kube_api.create("deployments", deployment("decode", replicas=2))
    path = kube_api.path("apps/v1", "deployments", "decode", "scale")

    code, answer = kube_api.request(
        "PATCH", path, [{"op": "test", "path": "/spec/replicas", "value": 3}], content_type=JSON_PATCH
    )

    assert (code, answer["details"]) == (422, {})
