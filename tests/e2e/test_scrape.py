"""Without a Prometheus: the pods' own pages are enough."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.exits import ExitCode
from autoscaler.cli.main import app
from tests.e2e.fluid import MODEL
from tests.e2e.stage import policy_document
from tests.support.loopback import Loopback, Reply, Request, running_loopback
from tests.support.vllm_series import Engine, Fleet

ENGINES = (
    Engine(
        "prefill",
        "prefill",
        waiting=lambda _: 60.0,
        running=1.0,
        latencies_s=({"vllm:request_prefill_time_seconds": (0.5,)}),
    ),
    Engine("decode", "decode", output_tokens=(200,), running=8.0, kv_usage=0.7),
)


@pytest.fixture
def pods() -> Iterator[Loopback]:
    """A server whose pages /prefill and /decode are those of one engine each."""
    fleet, began_s = Fleet(ENGINES, model=MODEL), time.time() - 3600.0

    def answer(request: Request) -> Reply:
        return Reply(body=fleet.page(request.path.strip("/"), began_s, time.time()).encode())

    with running_loopback(answer) as server:
        yield server


def test_recommend_watches_the_pages_and_says_what_is_needed(pods: Loopback, tmp_path: Path) -> None:
    document = policy_document("chat", "serving", "")
    del document["spec"]["prometheus"]
    endpoints = {"prefill": [f"{pods.url}/prefill"], "decode": [f"{pods.url}/decode"]}
    document["spec"]["scrape"] = {"interval": "1s", "endpoints": endpoints}
    path = tmp_path / "chat.yaml"
    path.write_text(yaml.safe_dump(document))
    nowhere = {"HOME": str(tmp_path), "KUBECONFIG": None, "KUBERNETES_SERVICE_HOST": None}

    result = CliRunner(env=nowhere).invoke(app, ["recommend", str(path), "-o", "json"])

    (record,) = json.loads(result.stdout)
    assert record["signals"]["prefill"]["queue_depth"]["value"] == 60.0
    assert record["signals"]["prefill"]["request_rate"]["state"] == "value"
    assert record["roles"]["prefill"]["current"] == 1
    assert record["roles"]["prefill"]["desired"] > 1
    assert result.exit_code == ExitCode.CHANGE
