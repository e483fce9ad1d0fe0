"""What the daemon of each overlay may do in a cluster: enough, nothing needless, and no write where it only advises."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from autoscaler.config import load_paths
from autoscaler.core.policy import Mode
from autoscaler.daemon.rights import marking_rights
from tests.deploy.installation import NOWHERE, Installation, installed, live, write_policies
from tests.deploy.rendering import NAME, OVERLAYS, ROOT, JsonObject, rendered
from tests.support.kube_api.faults import Request
from tests.support.kube_api.rbac import Attributes, User, allowed
from tests.support.prometheus import wait_until

READS = {"get", "list", "watch"}
MARKING = f"{NAME}-mark-pods"
ACCOUNT = User.service_account(NAME, NAME)


def roles_of(documents: list[JsonObject]) -> list[JsonObject]:
    return [one for one in documents if one["kind"] in {"Role", "ClusterRole"}]


def without_one(role: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """A role, each time without one verb on one object."""
    rules = role["rules"]
    for number, rule in enumerate(rules):
        for verb in rule["verbs"]:
            for name in rule.get("resourceNames", [None]):
                fewer = [other for other in rule["verbs"] if other != verb]
                rest = [other for other in rule.get("resourceNames", []) if other != name]
                kept = [{**rule, "verbs": fewer}] if fewer else []
                if rest:
                    kept.append({**rule, "verbs": [verb], "resourceNames": rest})
                what = f"{role['metadata'].get('namespace', 'cluster')}: {verb} {rule['resources'][0]} {name or ''}"
                yield what, {**role, "rules": [*rules[:number], *kept, *rules[number + 1 :]]}


def asked(request: Request) -> Attributes:
    return Attributes(request.verb, request.group, request.resource, request.namespace, request.name)


def ours(made: Installation) -> list[Request]:
    return [request for request in made.cluster.api.log.all() if request.user == ACCOUNT.name]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_rights_suffice_and_with_one_fewer_the_server_refuses_something(overlay: str, tmp_path: Path) -> None:
    with installed(overlay) as made:
        live(made, tmp_path)

        requests, store = ours(made), made.cluster.api.store
        assert {(one.verb, one.resource, one.name) for one in requests if one.code == 403} == set()
        assert all(allowed(store, ACCOUNT, asked(one)) for one in requests)
        needless = []
        for role in roles_of(made.documents):
            if role["metadata"]["name"] == MARKING:
                continue  # not needed: an offer
            for missing, fewer in without_one(role):
                replace(made, fewer)
                if all(allowed(store, ACCOUNT, asked(one)) for one in requests):
                    needless.append(missing)
            replace(made, role)
        assert needless == []


def replace(made: Installation, role: JsonObject) -> None:
    code, answer = made.cluster.request("PUT", made.path(role), role)
    assert code == 200, answer


def test_marking_pods_takes_what_rbac_prints_for_it() -> None:
    (marking,) = (one for one in roles_of(rendered("kustomize", "shared-gpus")) if one["metadata"]["name"] == MARKING)
    (policy,) = load_paths([ROOT / "policies" / "llm-d.yaml"])
    enforcing = policy.policy.spec.model_copy(update={"mode": Mode.ENFORCE})

    rights = marking_rights(policy.policy.model_copy(update={"spec": enforcing}))

    granted = {
        (group, resource, verb)
        for rule in marking["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {(right.group, right.resource, right.verb) for right in rights} == granted


def test_an_actor_scales_what_its_policy_names(tmp_path: Path) -> None:
    with installed("enforce") as made:
        live(made, tmp_path)

        scaled = [one.name for one in ours(made) if one.verb == "patch" and one.resource == "deployments/scale"]
        assert set(scaled) == {"vllm-prefill", "vllm-decode"}


def test_an_adviser_sends_no_write_request_and_has_no_right_to(tmp_path: Path) -> None:
    with installed("recommend") as made:
        live(made, tmp_path)

        verbs = {one.verb for one in ours(made)}
        assert verbs == {"get", "list"}
        granted = {verb for role in roles_of(made.documents) for rule in role["rules"] for verb in rule["verbs"]}
        assert granted <= READS


def test_the_rights_on_openshift_are_those_of_the_actor() -> None:
    acting, openshift = (
        [one["rules"] for one in roles_of(rendered("helm", name))] for name in ("enforce", "openshift")
    )

    assert openshift == acting


class Program:
    """The real program with an overlay's arguments, as its service account, on this machine."""

    def __init__(self, made: Installation, folder: Path) -> None:
        kubeconfig = made.cluster.kubeconfig(folder / "kubeconfig", token=made.token())
        made.cluster.api.log.clear()
        self._log = folder / "log"
        arguments = [self._here(made, folder, word) for word in made.arguments]
        command = [
            sys.executable,
            "-m",
            "autoscaler",
            *arguments,
            f"--kubeconfig={kubeconfig}",
            f"--prometheus={NOWHERE}",
        ]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)

    def lines(self, event: str) -> list[JsonObject]:
        """Log lines of a kind."""
        lines = map(json.loads, self._log.read_text().rpartition("\n")[0].splitlines())
        return [line for line in lines if line["event"] == event]

    def end(self) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    @staticmethod
    def _here(made: Installation, folder: Path, word: str) -> str:
        option, equals, _ = word.partition("=")
        if option == "--policy":
            return f"{option}={write_policies(made, folder)}"
        here = {"--state-dir": str(folder / "state"), "--listen": "127.0.0.1:0"}
        return f"{option}{equals}{here[option]}" if option in here else word


@pytest.mark.parametrize(("overlay", "last"), [("recommend", ("list", "pods")), ("namespaces", ("create", "leases"))])
def test_the_program_runs_with_the_overlays_arguments_and_rights(
    overlay: str, last: tuple[str, str], tmp_path: Path
) -> None:
    with installed(overlay) as made, Program(made, tmp_path) as program:
        wait_until(
            lambda: last in {(one.verb, one.resource) for one in ours(made)} and program.lines("service added") != [],
            f"not at work: {(tmp_path / 'log')}",
            timeout_s=60.0,
        )

        assert program.end() == 0
        requests = ours(made)
        assert [one for one in requests if one.code == 403] == []
        writes = [one for one in requests if one.writes]
        assert (writes == []) is (overlay == "recommend")
