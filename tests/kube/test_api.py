"""Our own requests: on the fake, and on a real server where there is one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from autoscaler.kube.api import KubeApi
from autoscaler.targets.kubernetes.connection import KubeConfigError, configure
from autoscaler.targets.kubernetes.errors import (
    ConflictError,
    ForbiddenError,
    KubeError,
    NotFoundError,
    RejectedError,
    UnavailableError,
)
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.kube.conftest import Connect
from tests.support.kube import Cluster, FakeCluster
from tests.support.kube_api import Fault
from tests.support.loopback import Reply, Request, running_loopback


def config_map(cluster: Cluster, name: str = "") -> ObjectRef:
    return ObjectRef("v1", "ConfigMap", "configmaps", cluster.namespace, name)


def document(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": name}}, "data": data}


def test_an_object_is_created_once(kube_api: Cluster, connect: Connect) -> None:
    api = connect(kube_api)

    made = api.create(config_map(kube_api, "a"), document("a", x="1"))

    assert made["metadata"]["uid"]
    with pytest.raises(ConflictError, match="already exists"):
        api.create(config_map(kube_api, "a"), document("a"))


def test_an_object_is_replaced_only_at_the_version_that_was_read(kube_api: Cluster, connect: Connect) -> None:
    api = connect(kube_api)
    ref = config_map(kube_api, "a")
    first = api.create(ref, document("a", x="1"))

    api.replace(ref, {**first, "data": {"x": "2"}})

    with pytest.raises(ConflictError):
        api.replace(ref, {**first, "data": {"x": "3"}})
    assert api.get(ref)["data"] == {"x": "2"}


def test_a_merge_changes_only_what_it_names(kube_api: Cluster, connect: Connect) -> None:
    api = connect(kube_api)
    ref = config_map(kube_api, "a")
    api.create(ref, document("a", x="1", y="1"))

    api.merge(ref, {"data": {"x": "2"}})

    assert api.get(ref)["data"] == {"x": "2", "y": "1"}


def test_our_writes_carry_our_name(kube_api: Cluster, connect: Connect) -> None:
    api = connect(kube_api)

    made = api.create(config_map(kube_api, "a"), document("a", x="1"))

    assert [entry["manager"] for entry in made["metadata"]["managedFields"]] == ["pd-autoscaler"]


def test_a_list_is_chosen_by_labels_and_tells_where_a_watch_goes_on(kube_api: Cluster, connect: Connect) -> None:
    api = connect(kube_api)
    for name in ("a", "b"):
        api.create(config_map(kube_api, name), document(name))

    found, version = api.list_all(config_map(kube_api), label_selector="app=b")
    api.merge(config_map(kube_api, "b"), {"data": {"x": "2"}})
    events = list(api.watch(config_map(kube_api), since=version, timeout_s=1.0))

    assert [item["metadata"]["name"] for item in found] == ["b"]
    assert [(event["type"], event["object"]["data"]) for event in events if event["type"] != "BOOKMARK"] == [
        ("MODIFIED", {"x": "2"})
    ]


def test_a_list_without_a_namespace_is_of_all_of_them(kube_api: Cluster, connect: Connect) -> None:
    api = connect(kube_api)
    api.create(config_map(kube_api, "a"), document("a"))

    found, _ = api.list_all(ObjectRef("v1", "ConfigMap", "configmaps", ""), label_selector="app=a")

    assert kube_api.namespace in {item["metadata"]["namespace"] for item in found}


def test_an_event_is_seen_while_the_watch_goes_on(fake_kube_api: FakeCluster, connect: Connect) -> None:
    api = connect(fake_kube_api)
    _, version = api.list_all(config_map(fake_kube_api))
    api.create(config_map(fake_kube_api, "a"), document("a"))

    began_s = time.monotonic()
    watch = api.watch(config_map(fake_kube_api), since=version, timeout_s=30.0)
    first = next(iter(watch))
    watch.close()  # type: ignore[attr-defined]  # a generator

    assert first["object"]["metadata"]["name"] == "a"
    assert time.monotonic() - began_s < 10.0


def test_a_watch_from_a_forgotten_version_is_code_410(fake_kube_api: FakeCluster, connect: Connect) -> None:
    api = connect(fake_kube_api)
    api.create(config_map(fake_kube_api, "a"), document("a"))
    fake_kube_api.api.store.compact()

    with pytest.raises(RejectedError) as raised:
        list(api.watch(config_map(fake_kube_api), since="1", timeout_s=1.0))

    assert raised.value.code == 410


def test_a_missing_right_is_named_with_its_verb(kube_api: Cluster, connect: Connect) -> None:
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    api = connect(kube_api, token=kube_api.service_account("reader", rules))

    with pytest.raises(ForbiddenError, match=r"missing verb create on configmaps .API group core."):
        api.create(config_map(kube_api, "a"), document("a"))
    with pytest.raises(ForbiddenError, match="missing verb watch on configmaps"):
        list(api.watch(config_map(kube_api), since="1", timeout_s=1.0))


def test_an_object_that_does_not_exist_is_not_found(kube_api: Cluster, connect: Connect) -> None:
    with pytest.raises(NotFoundError, match="is ConfigMap nothing the right name"):
        connect(kube_api).get(config_map(kube_api, "nothing"))


@pytest.mark.parametrize("fault", [Fault(code=503), Fault(cut=True), Fault(delay_s=2.0)], ids=["503", "cut", "slow"])
def test_what_may_have_been_carried_out_is_unavailable(
    fake_kube_api: FakeCluster, connect: Connect, fault: Fault
) -> None:
    api = connect(fake_kube_api, timeout_s=0.5)
    fake_kube_api.api.faults.add(Fault(verb="create", code=fault.code, cut=fault.cut, delay_s=fault.delay_s))

    with pytest.raises(UnavailableError):
        api.create(config_map(fake_kube_api, "a"), document("a"))


def test_a_server_that_is_gone_is_unavailable(tmp_path: Path, fake_kube_api: FakeCluster) -> None:
    kubeconfig = fake_kube_api.kubeconfig(tmp_path / "kubeconfig")
    kubeconfig.write_text(kubeconfig.read_text().replace(fake_kube_api.url, "http://127.0.0.1:1"))
    api = KubeApi(configure(kubeconfig=str(kubeconfig)))

    with pytest.raises(UnavailableError, match="no connection"):
        api.list_all(config_map(fake_kube_api))
    api.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"<html>proxy login</html>", 200), (b"[]", 200), (b"\xff", 200), (b"", 502), (b"<html>", 404), (b"{}", 401)],
)
def test_whatever_answers_the_error_is_one_of_ours(
    tmp_path: Path, fake_kube_api: FakeCluster, body: bytes, status: int
) -> None:
    def answer(_: Request) -> Reply:
        return Reply(status, body)

    kubeconfig = fake_kube_api.kubeconfig(tmp_path / "kubeconfig")
    with running_loopback(answer) as server:
        kubeconfig.write_text(kubeconfig.read_text().replace(fake_kube_api.url, server.url))
        api = KubeApi(configure(kubeconfig=str(kubeconfig)))
        ref = config_map(fake_kube_api, "a")
        with pytest.raises(KubeError):
            api.get(ref)
        with pytest.raises(KubeError):
            api.create(ref, document("a"))
        with pytest.raises(KubeError):
            list(api.watch(ref, since="1", timeout_s=1.0))
        api.close()


def test_a_list_that_a_proxy_answers_is_not_an_empty_one(tmp_path: Path, fake_kube_api: FakeCluster) -> None:
    kubeconfig = fake_kube_api.kubeconfig(tmp_path / "kubeconfig")
    with running_loopback(lambda _: Reply(200, b'{"message": "upstream connect error"}')) as server:
        kubeconfig.write_text(kubeconfig.read_text().replace(fake_kube_api.url, server.url))
        api = KubeApi(configure(kubeconfig=str(kubeconfig)))
        with pytest.raises(UnavailableError, match="upstream connect error"):
            api.list_all(config_map(fake_kube_api))
        api.close()


def test_a_watch_whose_line_is_no_object_is_unavailable(tmp_path: Path, fake_kube_api: FakeCluster) -> None:
    good = json.dumps({"type": "ADDED", "object": {"metadata": {"name": "a"}}})
    kubeconfig = fake_kube_api.kubeconfig(tmp_path / "kubeconfig")
    with running_loopback(lambda _: Reply(200, f"{good}\nhalf a li".encode())) as server:
        kubeconfig.write_text(kubeconfig.read_text().replace(fake_kube_api.url, server.url))
        api = KubeApi(configure(kubeconfig=str(kubeconfig)))
        watch = api.watch(config_map(fake_kube_api), since="1", timeout_s=1.0)
        assert next(iter(watch))["type"] == "ADDED"
        with pytest.raises(UnavailableError, match="no Kubernetes object"):
            next(iter(watch))
        api.close()


def test_a_token_file_that_is_gone_is_an_error_in_words(tmp_path: Path, fake_kube_api: FakeCluster) -> None:
    token = tmp_path / "token"
    token.write_text(fake_kube_api.admin_token)
    api = KubeApi(configure(kubeconfig=str(fake_kube_api.kubeconfig(tmp_path / "kubeconfig", token_file=token))))
    api.list_all(config_map(fake_kube_api))
    token.unlink()

    assert api.list_all(config_map(fake_kube_api))[0] == []  # the last one that could be read
    api.close()


def test_the_pod_s_account_is_used_where_nothing_is_named() -> None:
    with pytest.raises(KubeConfigError, match="no service account here"):
        configure(environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"})
