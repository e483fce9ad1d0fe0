from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.config import ScalingPolicy, load_paths
from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.core.snapshot import PoolState
from autoscaler.core.supply import held_bounds
from autoscaler.daemon.assembly import connections, on_schedule
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.draining import DrainingTarget
from autoscaler.daemon.holds import with_holds
from autoscaler.daemon.metrics_target import MetricsTarget
from autoscaler.daemon.places import target_specs
from autoscaler.daemon.prometheus import prometheus_connection
from autoscaler.daemon.queries import service_queries
from autoscaler.daemon.scraper import Scraper
from autoscaler.daemon.surroundings import AssemblyError, Surroundings
from autoscaler.sources.prometheus import PrometheusSource
from autoscaler.sources.readings import ReplicaCounts
from autoscaler.targets.base import Outcome
from autoscaler.targets.kubernetes.specs.model import Shape
from tests.daemon.builders import HandClock, capturing
from tests.e2e.stage import policy_document
from tests.support.kube import fake_cluster
from tests.support.kube_api.manifests import deployment
from tests.support.loopback import Reply, running_loopback

KUBECONFIG = {
    "clusters": [{"name": "test", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "test", "user": {"token": "secret"}}],
    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    "current-context": "test",
}


def policy(folder: Path, **spec: Any) -> ScalingPolicy:
    path = folder / "chat.yaml"
    path.write_text(yaml.safe_dump(policy_document("chat", "serving", "http://prom:9090", **spec)))
    (loaded,) = load_paths([path])
    return loaded.policy


def kubeconfig(folder: Path) -> str:
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(KUBECONFIG))
    return str(path)


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def test_a_kubeconfig_gives_a_target_that_can_be_written(tmp_path: Path) -> None:
    around = Surroundings(kubeconfig=kubeconfig(tmp_path))

    source, target = connections(policy(tmp_path), around, HandClock(), capturing()[0], writes=True)
    target.close()
    source.close()

    assert isinstance(target, DrainingTarget)


def test_the_lease_is_asked_for_when_a_count_is_sent_and_not_only_before_its_write_begins(tmp_path: Path) -> None:
    answers = [True, False]
    with fake_cluster() as cluster:
        for role in ("prefill", "decode"):
            cluster.create("deployments", deployment(f"chat-{role}", replicas=2))
        around = Surroundings(kubeconfig=str(cluster.kubeconfig(tmp_path / "kubeconfig")))
        source, target = connections(
            policy(tmp_path), around, HandClock(), capturing()[0], writes=True, may_write=lambda: answers.pop(0)
        )
        basis = target.read().basis[Role.DECODE]

        result = target.write(Role.DECODE, 3, basis=basis, dry_run=False)
        target.close()
        source.close()

        assert (result.outcome, answers) == (Outcome.DEFERRED, [])
        assert cluster.api.log.count("patch") == 0


def test_queries_and_schedules_follow_a_wall_clock_that_is_set(tmp_path: Path) -> None:
    """The daemon began an hour behind, at half past eight, and the rush begins at nine."""
    half_past_eight_s = datetime(2026, 3, 2, 8, 30, tzinfo=UTC).timestamp()
    wall = [half_past_eight_s]
    clock = SteadyClock(wall=lambda: wall[0], monotonic=lambda: 0.0)
    rush = {"name": "rush", "from": "09:00", "to": "17:00", "timeZone": "UTC", "decode": {"min": 4}}
    document = policy(tmp_path, schedules=[rush])
    core, at = document.core(), on_schedule(document, clock)
    with running_loopback(lambda _: Reply(500)) as server:
        around = Surroundings(prometheus_url=server.url)
        source, _ = connections(document, around, clock, capturing()[0], writes=False)
        assert at(core, clock.now_s()).roles[Role.DECODE].min_replicas != 4

        wall[0] += 3600.0
        source.read(clock.now_s())
        source.close()

    assert float(server.requests[0].form["time"]) == half_past_eight_s + 3600.0
    assert at(core, clock.now_s()).roles[Role.DECODE].min_replicas == 4


@pytest.mark.parametrize("set_by_s", [3 * 3600.0, -3 * 3600.0, 0.0])
def test_a_hold_ends_by_the_wall_clock_also_once_that_is_set(tmp_path: Path, set_by_s: float) -> None:
    """Pinned until six in the afternoon, by a daemon that began on a clock which is then set by hours."""
    six_s = datetime(2026, 3, 2, 18, 0, tzinfo=UTC).timestamp()
    began_s = six_s - 600.0 - set_by_s
    passed_s, set_s = [0.0], [0.0]
    clock = SteadyClock(wall=lambda: began_s + passed_s[0] + set_s[0], monotonic=lambda: passed_s[0])
    document = policy(tmp_path)
    annotations = {"pd-autoscaler.io/pin": "decode=4 until 2026-03-02T18:00:00Z"}
    core, at = with_holds(document.core(), annotations), on_schedule(document, clock)

    set_s[0] = set_by_s
    seen = []
    for passed_s[0] in (599.0, 601.0):
        now_s = clock.now_s()
        decode = at(core, now_s).roles[Role.DECODE]
        seen.append(held_bounds(decode, 2, now_s).min_replicas)

    assert seen == [4, document.core().roles[Role.DECODE].min_replicas]


def test_without_a_cluster_metrics_stand_in_for_reading_and_it_is_said(tmp_path: Path) -> None:
    log, lines = capturing()

    source, target = connections(policy(tmp_path), Surroundings(), HandClock(), log, writes=False)
    target.close()
    source.close()

    assert isinstance(target, MetricsTarget)
    assert [line["event"] for line in lines] == ["replica counts come from metrics"]


@pytest.mark.parametrize(
    ("around", "writes"),
    [
        (Surroundings(), True),
        (Surroundings(kubeconfig="/nowhere"), False),
        (Surroundings(context="production"), False),
    ],
    ids=["it must write", "a kubeconfig was named", "a context was named"],
)
def test_nothing_stands_in_for_a_cluster_that_is_needed(tmp_path: Path, around: Surroundings, *, writes: bool) -> None:
    with pytest.raises(AssemblyError, match="chat: no kubeconfig"):
        connections(policy(tmp_path), around, HandClock(), capturing()[0], writes=writes)


def test_an_unknown_stack_names_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match="vllm"):
        connections(policy(tmp_path, stack="vlm"), Surroundings(), HandClock(), capturing()[0], writes=False)


def scraping(folder: Path, **scrape: Any) -> ScalingPolicy:
    document = policy_document("chat", "serving", "", scrape=scrape)
    del document["spec"]["prometheus"]
    path = folder / "chat.yaml"
    path.write_text(yaml.safe_dump(document))
    (loaded,) = load_paths([path])
    return loaded.policy


def test_fixed_pages_are_scraped_without_a_cluster(tmp_path: Path) -> None:
    pages = {"prefill": ["http://127.0.0.1:1/metrics"], "decode": ["http://127.0.0.1:2/metrics"]}

    source, target = connections(
        scraping(tmp_path, endpoints=pages), Surroundings(), HandClock(), capturing()[0], writes=False
    )
    source.close()

    assert isinstance(source, Scraper)
    assert isinstance(target, MetricsTarget)


def test_pods_are_found_through_the_cluster(tmp_path: Path) -> None:
    around = Surroundings(kubeconfig=kubeconfig(tmp_path))

    source, target = connections(scraping(tmp_path), around, HandClock(), capturing()[0], writes=True)
    target.close()
    source.close()

    assert isinstance(source, Scraper)


def test_pods_cannot_be_found_without_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match="chat: no kubeconfig"):
        connections(scraping(tmp_path), Surroundings(), HandClock(), capturing()[0], writes=False)


def test_a_prometheus_on_the_command_line_takes_the_place_of_scraping(tmp_path: Path) -> None:
    around = Surroundings(prometheus_url="http://prom:9090")

    source, _ = connections(scraping(tmp_path), around, HandClock(), capturing()[0], writes=False)
    source.close()

    assert isinstance(source, PrometheusSource)


def test_the_command_line_names_another_server_and_keeps_the_credentials(tmp_path: Path) -> None:
    server = {"url": "http://prom:9090", "bearerToken": "t", "headers": {"X-Scope-OrgID": "a"}, "timeout": "3s"}

    connection = prometheus_connection(policy(tmp_path, prometheus=server), "http://other:9090")

    assert connection.url == "http://other:9090"
    assert (connection.bearer_token, connection.headers, connection.timeout_s) == ("t", {"X-Scope-OrgID": "a"}, 3.0)


def test_files_and_basic_auth_reach_the_connection(tmp_path: Path) -> None:
    server = {
        "url": "https://prom:9090",
        "basicAuth": {"username": "u", "passwordFile": "/run/password"},
        "tls": {"caFile": "/run/ca", "certFile": "/run/cert", "keyFile": "/run/key", "serverName": "prom.internal"},
    }

    connection = prometheus_connection(policy(tmp_path, prometheus=server), None)

    assert (connection.username, connection.password, connection.password_file) == ("u", None, Path("/run/password"))
    assert (connection.ca_file, connection.cert_file, connection.key_file) == (
        Path("/run/ca"),
        Path("/run/cert"),
        Path("/run/key"),
    )
    assert (connection.verify, connection.server_name) == (True, "prom.internal")


def test_queries_carry_the_names_of_the_policy(tmp_path: Path) -> None:
    queries = service_queries(policy(tmp_path, signals={"decode": {"waiting": "sum(my_queue)"}}))

    by_name = {(query.scope, query.name): query.candidates[0].expressions[0].text for query in queries.signals}
    assert by_name[Scope.PREFILL, "queue_depth"] == (
        'sum(vllm:num_requests_waiting{service="chat",role="prefill",model_name="llama"})'
    )
    assert by_name[Scope.DECODE, "waiting"] == "sum(my_queue)"
    asked_for = queries.replicas[Role.PREFILL].asked_for[0].expressions[0].text
    assert 'deployment="chat-prefill"' in asked_for
    assert 'namespace="serving"' in asked_for


def test_a_kind_with_a_spec_is_written_by_it_and_any_other_through_its_scale(tmp_path: Path) -> None:
    document = policy_document("chat", "serving", "http://prom:9090")
    document["spec"]["roles"]["prefill"]["target"] |= {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
    }
    document["spec"]["roles"]["decode"]["target"] |= {"apiVersion": "example.com/v1", "kind": "EnginePolicy"}
    path = tmp_path / "chat.yaml"
    path.write_text(yaml.safe_dump(document))
    (loaded,) = load_paths([path])

    specs = target_specs(loaded.policy)

    assert (specs[Role.PREFILL].name, specs[Role.PREFILL].shape) == ("kserve", Shape.MERGE)
    decode = specs[Role.DECODE].object
    assert decode is not None
    assert (specs[Role.DECODE].shape, decode.plural) == (Shape.SCALE, "enginepolicies")


class Counts:
    def read_replicas(self, now_s: float) -> ReplicaCounts:
        assert now_s == HandClock().now_s()
        return ReplicaCounts({Role.PREFILL: PoolState(2, 1)}, {Role.DECODE: "no series matches"})


def test_replica_counts_from_metrics_are_read_and_never_written() -> None:
    target = MetricsTarget(Counts(), HandClock())

    reading = target.read()
    written = target.write(Role.PREFILL, 3, basis=reading.basis[Role.PREFILL], dry_run=False)

    assert reading.pools == {Role.PREFILL: PoolState(2, 1)}
    assert reading.errors == {Role.DECODE: "no series matches"}
    assert written.outcome is Outcome.REJECTED
    assert "pass --kubeconfig" in written.message


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://[::1", "--prometheus: is no address (got http://[::1, allowed: http://host"),
        ("foo", "--prometheus: is no http address (got foo, allowed: http://host[:port][/path] or https://…, did you"),
        (
            "http://me:hunter2@prom:9090",
            "holds credentials: put them into basicAuth or a bearerTokenFile (got ***@p",
        ),
        ("http://prom:9090/?a=b", "wants a host, and no query or fragment"),
        ("", "--prometheus: is no http address"),
    ],
)
def test_an_address_on_the_command_line_is_held_to_the_rules_of_the_policy(
    tmp_path: Path, url: str, words: str
) -> None:
    with pytest.raises(AssemblyError) as refused:
        prometheus_connection(policy(tmp_path), url)

    assert words in str(refused.value)
    assert "hunter2" not in str(refused.value)
