"""The first day of a user: a Prometheus that has watched a service for a while, and a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from autoscaler.config import ScalingPolicy
from autoscaler.config.load import parse
from autoscaler.config.model import API_VERSION, KIND
from tests.support.simulated_history import NAMESPACE

MODEL = "llama-3.1-70b"


def document(url: str, **spec: Any) -> dict[str, Any]:
    pool = {"max": 16, "gpusPerReplica": 4, "startupTime": "120s"}
    roles = {
        role: {"target": {"name": f"vllm-{role}"}, "selector": {"role": role}, **pool} for role in ("prefill", "decode")
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "chat", "namespace": NAMESPACE},
        "spec": {
            "stack": "vllm",
            "model": MODEL,
            "selector": {"namespace": NAMESPACE},
            "engine": {"gpu": "h100", "tensorParallel": 4},
            "objectives": {"ttft": {"target": "2s"}, "tpot": {"target": "50ms"}},
            "roles": roles,
            "prometheus": {"url": url},
            **spec,
        },
    }


def policy(url: str, **spec: Any) -> ScalingPolicy:
    report = parse(yaml.safe_dump(document(url, **spec)).encode(), Path("chat.yaml"))
    assert report.errors == (), [str(error) for error in report.errors]
    return report.policies[0].policy
