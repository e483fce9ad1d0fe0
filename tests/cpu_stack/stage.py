"""The whole stack on one machine: Dynamo, Prometheus, API server, and the policy that ships for it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autoscaler.core.policy import Role
from tests.cpu_stack.client import Answer, Client, Request
from tests.cpu_stack.cluster import GraphRunner
from tests.cpu_stack.dynamo import (
    BLOCK_TOKENS,
    BLOCKS,
    MAX_SEQUENCES,
    MODEL,
    PREFILL_FIXED_MS,
    PREFILL_MS_PER_TOKEN,
    STEP_FIXED_MS,
    STEP_MS_PER_KV_TOKEN,
    Dynamo,
)
from tests.cpu_stack.processes import Process
from tests.e2e.program import Program
from tests.support.kube import FakeCluster, fake_cluster
from tests.support.prometheus import Prometheus, running_prometheus, wait_until

SHIPPED_POLICY = Path(__file__).parents[2] / "policies" / "dynamo.yaml"
MOST_REPLICAS: Mapping[Role, int] = {Role.PREFILL: 3, Role.DECODE: 3}

# Workers start in seconds here and a day lasts minutes, so all that waits is shortened; nothing else is changed.
_WINDOWS = "{like: dynamo, name: dynamo-in-minutes, windows: {control: 15s, shape: 30s}}"
_SCRAPES = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: dynamo
    honor_labels: true
    file_sd_configs: [{{files: ["{targets}"], refresh_interval: 1s}}]
"""
_TIMEOUT_S = 60.0
_LOG_TAIL_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A running stack, without load and without the autoscaler.

    Attributes:
        folder: With every log.
        policy: The policy's file.
        kubeconfig: The administrator's.
    """

    folder: Path
    dynamo: Dynamo
    frontend: Process
    graph: GraphRunner
    cluster: FakeCluster
    prometheus: Prometheus
    policy: Path
    kubeconfig: Path

    def start_autoscaler(self) -> Program:
        """Start `run`; the caller ends it."""
        return Program(self.folder, *self._arguments())

    def doctor(self) -> tuple[int, dict[str, Any]]:
        """Exit code of `doctor`, and its report of our policy."""
        command = [sys.executable, "-m", "autoscaler", "doctor", "-o", "json", *self._arguments()]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60.0)
        (report,) = json.loads(done.stdout)
        return done.returncode, report

    def send(self, request: Request) -> Answer:
        """Send one request."""
        return asyncio.run(Client(self.dynamo.frontend_port, MODEL).send(request))

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = _TIMEOUT_S) -> None:
        """Wait for something that the stack or the autoscaler is to bring about."""
        wait_until(lambda: self.graph.trouble is not None or condition(), what, timeout_s=timeout_s)
        if self.graph.trouble is not None:
            raise self.graph.trouble

    def wait_for_workers(self, role: Role, count: int) -> None:
        """Wait until so many replicas of a role are asked for, ready, and all that runs."""
        self.wait_for(lambda: self.graph.latest(role).counts == (count, count, count), f"{count} {role} workers")

    def logs(self) -> str:
        """The end of every log."""
        return "\n".join(f"--- {path.name}\n{_tail(path)}" for path in sorted(self.folder.glob("*log")))

    def _arguments(self) -> list[str]:
        return ["--policy", str(self.policy), "--kubeconfig", str(self.kubeconfig)]


class Load:
    """A client that replays a plan in a thread of its own, until it is stopped.

    Attributes:
        answers: One for each request that was sent.
    """

    def __init__(self, port: int, requests: Sequence[Request]) -> None:
        self._client = Client(port, MODEL)
        self.answers = self._client.answers
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(requests,), name="load")
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more, and wait for the answers to what was sent."""
        self._enough.set()
        self._thread.join()

    def _run(self, requests: Sequence[Request]) -> None:
        asyncio.run(self._client.replay(requests, self._enough))


@contextmanager
def running_stage(python: str, folder: Path, *, replicas: int) -> Iterator[Stage]:
    """Start everything, wait until requests are served, and stop everything.

    Args:
        python: Interpreter of the environment that has Dynamo.
        folder: For all files and logs.
        replicas: Workers of each role to begin with.
    """
    with ExitStack() as stack:
        targets = folder / "targets.json"
        targets.write_text("[]")
        prometheus = stack.enter_context(running_prometheus(_SCRAPES.format(targets=targets)))
        cluster = stack.enter_context(fake_cluster())
        dynamo = Dynamo(python, folder)
        frontend = dynamo.start_frontend()
        stack.callback(frontend.kill)
        graph = GraphRunner(cluster, dynamo, targets, replicas)
        stack.callback(graph.stop)
        graph.start()
        policy = _write_policy(folder, prometheus.url)
        kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
        stage = Stage(folder, dynamo, frontend, graph, cluster, prometheus, policy, kubeconfig)
        try:
            stage.wait_for(lambda: len(graph.samples) >= len(MOST_REPLICAS), "the graph's first round")
            for role in MOST_REPLICAS:
                stage.wait_for_workers(role, replicas)
            stage.wait_for(lambda: stage.send(Request(0.0, 8, 2)).is_whole, "a first answer")
            yield stage
        except BaseException:
            print(stage.logs(), file=sys.stderr)  # noqa: T201 - pytest shows it with the failure
            raise


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-_LOG_TAIL_CHARS:]


def _write_policy(folder: Path, prometheus_url: str) -> Path:
    """The policy that ships, with our names, our engine, and waits that fit."""
    document = yaml.safe_load(SHIPPED_POLICY.read_text())
    spec = document["spec"]
    (folder / "stack.yaml").write_text(_WINDOWS)
    del spec["stack"]
    spec |= {
        "stackFile": "stack.yaml",
        "model": MODEL,
        "mode": "enforce",
        "interval": "3s",
        "engine": {"timing": _timing()},
        "prometheus": {"url": prometheus_url, "timeout": "2s"},
    }
    spec["objectives"]["tpot"]["target"] = "60ms"
    for role, most in MOST_REPLICAS.items():
        down = {"stabilizationWindowSeconds": 15, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}
        pool = {"max": most, "gpusPerReplica": 1, "startupTime": "5s", "behavior": {"scaleDown": down}}
        spec["roles"][role.value] |= pool
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def _timing() -> dict[str, Any]:
    """What the profile of the mock workers says, as a user would write it."""
    return {
        "prefill": {"fixed": f"{PREFILL_FIXED_MS:g}ms", "microsecondsPerToken": PREFILL_MS_PER_TOKEN * 1e3},
        "decode": {
            "fixed": f"{STEP_FIXED_MS:g}ms",
            "microsecondsPerSequence": 0.0,
            "nanosecondsPerKvToken": STEP_MS_PER_KV_TOKEN * 1e6,
        },
        "kvCapacityTokens": BLOCKS * BLOCK_TOKENS,
        "maxSequences": MAX_SEQUENCES,
    }
