"""A cluster for tests: the fake API server, or a real one where KUBEBUILDER_ASSETS says where its binaries are.

Tests that use the fixture `kube_api` run on both. Those that need injected faults, the request log or controllers use
`fake_kube_api`, which is always the fake.
"""

from __future__ import annotations

import json
import os
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support.kube_api import FakeKubeApi
from tests.support.kube_api.patch import MERGE_PATCH
from tests.support.kube_real import RealKubeApi

JsonObject = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io/v1"
_SETTLE_S = 10.0  # a real server serves a new kind, and grants a new role, a moment later


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server with a namespace for one test, and its administrator's hands.

    Attributes:
        namespace: Where the test's objects go.
        ca_file: What the server's certificate is checked against; None for plain HTTP.
    """

    url: str
    admin_token: str
    namespace: str
    ca_file: Path | None

    def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json", token: str = ""
    ) -> tuple[int, JsonObject]:
        """One request, as the administrator unless a token is given; answers code and object."""
        connection = self._connect()
        try:
            headers = {"Authorization": f"Bearer {token or self.admin_token}", "User-Agent": "kubectl/1.36"}
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {**headers, "Content-Type": content_type})
            response = connection.getresponse()
            text = response.read().decode()
            plain = response.getheader("Content-Type", "").startswith("text/plain")
            return response.status, {"message": text} if plain else json.loads(text)
        finally:
            connection.close()

    def watch(self, path: str, *, since: str, timeout_s: int = 1) -> list[JsonObject]:
        """What a watch of a collection reports from a resource version until its timeout."""
        connection = self._connect()
        try:
            query = f"?watch=true&resourceVersion={since}&timeoutSeconds={timeout_s}"
            connection.request("GET", path + query, headers={"Authorization": f"Bearer {self.admin_token}"})
            return [json.loads(line) for line in connection.getresponse().read().splitlines()]
        finally:
            connection.close()

    def path(self, api_version: str, plural: str, name: str = "", subresource: str = "") -> str:
        """Path of an object in the test's namespace."""
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        parts = [root, "namespaces", self.namespace, plural, name, subresource]
        return "/".join(part for part in parts if part)

    def create(self, plural: str, document: JsonObject) -> JsonObject:
        """Create an object in the test's namespace."""
        return self._must("POST", self.path(document["apiVersion"], plural), document)

    def get(self, api_version: str, plural: str, name: str) -> JsonObject:
        """Read an object of the test's namespace."""
        return self._must("GET", self.path(api_version, plural, name))

    def patch(self, api_version: str, plural: str, name: str, change: JsonObject, subresource: str = "") -> JsonObject:
        """Merge a change into an object of the test's namespace."""
        return self._must("PATCH", self.path(api_version, plural, name, subresource), change, content_type=MERGE_PATCH)

    def delete(self, api_version: str, plural: str, name: str) -> None:
        """Delete an object of the test's namespace."""
        self._must("DELETE", self.path(api_version, plural, name))

    def define(self, definition: JsonObject) -> None:
        """Add a custom kind; one that exists already is left as it is."""
        code, answer = self.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        assert code in {201, 409}, answer
        spec = definition["spec"]
        api_version = f"{spec['group']}/{spec['versions'][0]['name']}"
        collection = self.path(api_version, spec["names"]["plural"])
        self._settle(lambda: self.request("GET", collection)[0] == 200, f"{collection} is not served")

    def service_account(self, name: str, rules: list[JsonObject]) -> str:
        """A service account with a Role of these rules in the test's namespace; its bearer token."""
        metadata = {"name": name}
        self.create("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        self.create("roles", {"apiVersion": _RBAC, "kind": "Role", "metadata": metadata, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": name, "namespace": self.namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        binding = {"apiVersion": _RBAC, "kind": "RoleBinding", "metadata": metadata}
        self.create("rolebindings", {**binding, "subjects": [subject], "roleRef": reference})
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = self._must("POST", self.path("v1", "serviceaccounts", name, "token"), request)
        token = str(answer["status"]["token"])
        if rules:
            self._settle(lambda: self._may(token, rules[0]), f"role {name} grants nothing")
        return token

    def kubeconfig(self, path: Path, *, token: str = "", token_file: Path | None = None) -> Path:
        """Write a kubeconfig for a token, or for a file with one; the administrator's when neither is given."""
        user = {"tokenFile": str(token_file)} if token_file else {"token": token or self.admin_token}
        cluster = {"server": self.url} | ({"certificate-authority": str(self.ca_file)} if self.ca_file else {})
        context = {"cluster": "test", "user": "test", "namespace": self.namespace}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        path.write_text(yaml.safe_dump(document))
        return path

    def _must(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json") -> JsonObject:
        code, answer = self.request(method, path, body, content_type=content_type)
        assert code in {200, 201}, answer
        return answer

    def _may(self, token: str, rule: JsonObject) -> bool:
        resource, _, subresource = rule["resources"][0].partition("/")
        attributes = {"verb": rule["verbs"][0], "group": rule["apiGroups"][0], "namespace": self.namespace}
        attributes |= {"resource": resource, "subresource": subresource}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes | {"name": rule.get("resourceNames", [""])[0]}},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(self.request("POST", path, review, token=token)[1].get("status", {}).get("allowed"))

    @staticmethod
    def _settle(holds: Callable[[], bool], complaint: str) -> None:
        deadline_s = time.monotonic() + _SETTLE_S
        while not holds():
            assert time.monotonic() < deadline_s, complaint
            time.sleep(0.05)

    def _connect(self) -> HTTPConnection:
        netloc = urlsplit(self.url).netloc
        if self.ca_file is None:
            return HTTPConnection(netloc, timeout=10)
        return HTTPSConnection(netloc, timeout=10, context=ssl.create_default_context(cafile=str(self.ca_file)))


@dataclass(frozen=True, slots=True)
class FakeCluster(Cluster):
    """A cluster whose server can be looked into and made to fail."""

    api: FakeKubeApi


@pytest.fixture(scope="session")
def real_kube_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKubeApi | None]:
    """The real server of this test session; None without KUBEBUILDER_ASSETS."""
    binaries = os.environ.get("KUBEBUILDER_ASSETS")
    if not binaries:
        yield None
        return
    with RealKubeApi(Path(binaries), tmp_path_factory.mktemp("kube-apiserver")) as server:
        yield server


@pytest.fixture
def kube_api(real_kube_api: RealKubeApi | None) -> Iterator[Cluster]:
    """A cluster with an empty namespace, on the real server if there is one."""
    if real_kube_api is None:
        with fake_cluster() as fake:
            yield fake
        return
    server = real_kube_api
    cluster = Cluster(server.url, server.admin_token, f"serving-{uuid.uuid4().hex[:8]}", server.ca_file)
    _create_namespace(cluster)
    yield cluster


@pytest.fixture
def fake_kube_api() -> Iterator[FakeCluster]:
    """A cluster with an empty namespace on the fake, whose requests can be counted and made to fail."""
    with fake_cluster() as cluster:
        yield cluster


@contextmanager
def fake_cluster(clock: Callable[[], float] = time.time) -> Iterator[FakeCluster]:
    """The fake server with the namespace `serving`.

    Args:
        clock: Unix time in seconds, which the server's timestamps follow.
    """
    with FakeKubeApi(clock) as api:
        cluster = FakeCluster(api.url, api.admin_token, "serving", None, api)
        _create_namespace(cluster)
        api.log.clear()
        yield cluster


def _create_namespace(cluster: Cluster) -> None:
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}}
    code, answer = cluster.request("POST", "/api/v1/namespaces", document)
    assert code == 201, answer
