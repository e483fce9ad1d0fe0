"""Who may do what: run on the fake, and on a real server where there is one."""

from __future__ import annotations

from typing import Any

from tests.support.kube import Cluster
from tests.support.kube_api.manifests import deployment
from tests.support.kube_api.patch import MERGE_PATCH

APPS = "apps/v1"
ON_DECODE = [
    {"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get"]},
    {"apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["decode"], "verbs": ["patch"]},
]
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def test_a_wrong_token_is_401(kube_api: Cluster) -> None:
    assert kube_api.request("GET", kube_api.path(APPS, "deployments"), token="wrong")[0] == 401


def test_a_denial_names_user_verb_and_resource(kube_api: Cluster) -> None:
    kube_api.create("deployments", deployment("decode"))
    token = kube_api.service_account("autoscaler", ON_DECODE[:1])
    path = kube_api.path(APPS, "deployments", "decode", "scale")

    code, answer = kube_api.request("PATCH", path, {"spec": {"replicas": 2}}, content_type=MERGE_PATCH, token=token)

    assert (code, answer["reason"]) == (403, "Forbidden")
    assert answer["message"].startswith(
        f'deployments.apps "decode" is forbidden: User "system:serviceaccount:{kube_api.namespace}:autoscaler" cannot '
        f'patch resource "deployments/scale" in API group "apps" in the namespace "{kube_api.namespace}"'
    )


def test_a_denied_list_names_no_object(kube_api: Cluster) -> None:
    token = kube_api.service_account("autoscaler", ON_DECODE)

    _, answer = kube_api.request("GET", kube_api.path("v1", "pods"), token=token)

    assert answer["message"].startswith("pods is forbidden: User ")


def test_a_rule_with_names_is_about_those_objects_alone(kube_api: Cluster) -> None:
    token = kube_api.service_account("autoscaler", ON_DECODE)
    codes = []
    for name in ("decode", "prefill"):
        kube_api.create("deployments", deployment(name))
        path = kube_api.path(APPS, "deployments", name, "scale")
        change = {"spec": {"replicas": 2}}
        codes.append(kube_api.request("PATCH", path, change, content_type=MERGE_PATCH, token=token)[0])

    assert codes == [200, 403]


def test_a_service_account_may_ask_what_it_may_do(kube_api: Cluster) -> None:
    token = kube_api.service_account("autoscaler", ON_DECODE)

    def allowed(verb: str, name: str) -> Any:
        attributes = {"namespace": kube_api.namespace, "verb": verb, "group": "apps", "name": name}
        attributes |= {"resource": "deployments", "subresource": "scale"}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        return kube_api.request("POST", REVIEWS, review, token=token)[1]["status"]["allowed"]

    assert (allowed("get", "prefill"), allowed("patch", "decode"), allowed("patch", "prefill")) == (True, True, False)
