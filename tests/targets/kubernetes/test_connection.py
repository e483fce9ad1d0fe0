"""Finding the cluster and our credentials."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from autoscaler.core.policy import Role
from autoscaler.kube.api import KubeApi
from autoscaler.targets.kubernetes.client import KubeClient
from autoscaler.targets.kubernetes.connection import KubeConfigError, connect, from_kubeconfig, in_cluster
from autoscaler.targets.kubernetes.errors import UnauthorizedError
from autoscaler.targets.kubernetes.refs import ObjectRef
from tests.support.kube import Cluster, FakeCluster
from tests.support.kube_api.manifests import deployment
from tests.support.scale_target import ScaledPool, ScaleTarget

IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
READ_RULES = [{"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get"]}]


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    """The folder that Kubernetes mounts into a pod."""
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text("certificate")
    return tmp_path


def test_a_pod_finds_its_service_account(service_account: Path) -> None:
    configuration = in_cluster(IN_CLUSTER, service_account)

    assert configuration.host == "https://10.0.0.1:443"
    assert configuration.ssl_ca_cert == str(service_account / "ca.crt")
    assert configuration.get_api_key_with_prefix("BearerToken") == "Bearer first"


def test_an_ipv6_address_gets_its_brackets(service_account: Path) -> None:
    environ = {**IN_CLUSTER, "KUBERNETES_SERVICE_HOST": "fd00::1"}

    assert in_cluster(environ, service_account).host == "https://[fd00::1]:443"


def test_a_service_account_that_is_not_mounted_is_named_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(KubeConfigError, match=r"token and .*ca\.crt missing: let the pod mount its token"):
        in_cluster(IN_CLUSTER, tmp_path)


def test_a_rotated_token_is_used_from_the_next_request_on(fake_kube_api: FakeCluster, service_account: Path) -> None:
    fake_kube_api.create("deployments", deployment("decode", replicas=4))
    first = fake_kube_api.service_account("autoscaler", READ_RULES)
    token_file = service_account / "token"
    token_file.write_text(first)
    configuration = in_cluster(IN_CLUSTER, service_account)
    configuration.host = fake_kube_api.url
    ref = ObjectRef.deployment(fake_kube_api.namespace, "decode")
    target = ScaleTarget(KubeClient(configuration), {Role.DECODE: ScaledPool(ref)})

    before = target.read()
    second = fake_kube_api.api.issue_token(fake_kube_api.namespace, "autoscaler")
    fake_kube_api.api.revoke_token(first)
    expired = target.read()
    token_file.write_text(second)
    after = target.read()
    target.close()

    assert [before.errors, after.errors] == [{}, {}]
    assert "HTTP 401" in expired.errors[Role.DECODE]


@pytest.mark.parametrize("token", ["s3cret\nof another", "s3cr\u2603t"])
@pytest.mark.parametrize("client", [KubeClient, KubeApi])
def test_a_token_that_no_request_can_carry_is_said_and_not_quoted(
    fake_kube_api: FakeCluster, service_account: Path, client: type[KubeClient | KubeApi], token: str
) -> None:
    (service_account / "token").write_text(token)
    configuration = in_cluster(IN_CLUSTER, service_account)
    configuration.host = fake_kube_api.url

    with (
        pytest.raises(UnauthorizedError, match="no request can carry the token") as refused,
        closing(client(configuration)) as made,
    ):
        made.get(ObjectRef.deployment("serving", "decode"))

    assert "s3cr" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_broken_authority_is_an_error_of_the_role(fake_kube_api: FakeCluster, service_account: Path) -> None:
    port = fake_kube_api.url.rpartition(":")[2]
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
    client = KubeClient(in_cluster(environ, service_account))

    reading = ScaleTarget(client, {Role.DECODE: ScaledPool(ObjectRef.deployment("serving", "decode"))}).read()

    assert "no TLS, check address and CA file: SSLError" in reading.errors[Role.DECODE]


def test_a_token_file_that_is_gone_for_a_moment_leaves_the_last_token(service_account: Path) -> None:
    configuration = in_cluster(IN_CLUSTER, service_account)
    (service_account / "token").unlink()

    assert configuration.get_api_key_with_prefix("BearerToken") == "Bearer first"


def test_a_kubeconfig_with_a_token_file_follows_the_file(kube_api: Cluster, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("first\n")
    configuration = from_kubeconfig(str(kube_api.kubeconfig(tmp_path / "config", token_file=token_file)))
    token_file.write_text("the second\n")

    assert configuration.get_api_key_with_prefix("BearerToken") == "Bearer the second"


def test_a_token_file_is_found_relative_to_its_kubeconfig(kube_api: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("near")
    configuration = from_kubeconfig(str(kube_api.kubeconfig(tmp_path / "config", token_file=Path("token"))))

    assert configuration.get_api_key_with_prefix("BearerToken") == "Bearer near"


def test_the_variable_names_the_kubeconfig_even_in_a_pod(kube_api: Cluster, tmp_path: Path) -> None:
    kubeconfig = kube_api.kubeconfig(tmp_path / "config")
    kube_api.create("deployments", deployment("decode"))
    client = connect(environ={**IN_CLUSTER, "KUBECONFIG": str(kubeconfig)})

    found = client.get(ObjectRef.deployment(kube_api.namespace, "decode"))
    client.close()

    assert found["kind"] == "Deployment"


def test_the_first_of_several_kubeconfigs_wins(kube_api: Cluster, tmp_path: Path) -> None:
    first, second = kube_api.kubeconfig(tmp_path / "1", token="one"), kube_api.kubeconfig(tmp_path / "2", token="two")

    configuration = from_kubeconfig(os.pathsep.join([str(first), str(second)]))

    assert configuration.get_api_key_with_prefix("BearerToken") == "Bearer one"


def test_a_kubeconfig_that_does_not_exist_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KubeConfigError, match="pass --kubeconfig, set KUBECONFIG, or run in the cluster"):
        connect(kubeconfig=str(tmp_path / "none"), environ={})


@pytest.mark.parametrize("text", ["", "not: [yaml", "[]", "kind: Config", "just words"])
def test_a_broken_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)

    with pytest.raises(KubeConfigError, match="cannot be used"):
        from_kubeconfig(str(path))


def test_an_unknown_context_is_named(kube_api: Cluster, tmp_path: Path) -> None:
    with pytest.raises(KubeConfigError, match="production"):
        from_kubeconfig(str(kube_api.kubeconfig(tmp_path / "config")), context="production")


def test_a_target_is_imported_without_the_kubernetes_client() -> None:
    program = "import sys; import autoscaler.targets.kubernetes.build; sys.exit('kubernetes' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
