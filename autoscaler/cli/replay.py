"""`replay`: what a policy would have done with a recorded load."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from autoscaler.cli.exits import CliError
from autoscaler.config import PolicyError, ScalingPolicy, load_paths
from autoscaler.config.load import parse
from autoscaler.config.model import API_VERSION, KIND
from autoscaler.core.policy import ServicePolicy
from autoscaler.report.replay import print_replay, replay_csv, replay_json
from autoscaler.simulation.config import SimulationError
from autoscaler.simulation.replay import replay as played
from autoscaler.simulation.traces.formats import read_trace
from autoscaler.simulation.traces.reshape import times
from autoscaler.simulation.traces.trace import TraceError

_MOST_REPLICAS = 64


class Output(StrEnum):
    """What the replay looks like."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def replay(
    trace: Annotated[Path, typer.Option("--trace", metavar="FILE", help="The load: CSV, Mooncake, Azure or BurstGPT.")],
    policy: Annotated[
        list[Path] | None, typer.Option("--policy", "-p", metavar="FILE", help="Policies to play; may be repeated.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.001, help="Times the rate, by superposed copies of the load.")] = 1.0,
    against: Annotated[str, typer.Option(metavar="A,B", help="Others to play: hpa, keda, ..., static-peak.")] = "",
    model: Annotated[str | None, typer.Option(help="Without a policy: the model, such as llama-3.1-70b.")] = None,
    gpu: Annotated[str, typer.Option(help="Without a policy: the accelerator.")] = "h100",
    tp: Annotated[int, typer.Option(min=1, help="Without a policy: tensor parallelism, GPUs per replica.")] = 1,
    ttft: Annotated[str, typer.Option(help="Without a policy: TTFT target.")] = "2s",
    tpot: Annotated[str, typer.Option(help="Without a policy: TPOT target.")] = "50ms",
    startup: Annotated[str, typer.Option(help="Without a policy: startup time of a replica.")] = "240s",
    seed: Annotated[int, typer.Option(help="Of everything random: the same seed makes the same run.")] = 0,
    output: Annotated[Output, typer.Option("--output", "-o", help="What to print.")] = Output.TABLE,
) -> None:
    """Play a recorded load on a simulated service and say what each policy would have attained, and at what cost.

    The service is the one that the first policy describes, or a built-in engine named by --model, --gpu and --tp. All
    start from the same fleet. The bound is the estimated cost of a schedule that knows the load beforehand.
    """
    try:
        policies = _policies(policy) if policy else _default_policy(model, gpu, tp, ttft, tpot, startup)
        load = times(read_trace(trace), rate, seed)
        names = [name.strip() for name in against.split(",") if name.strip()]
        outcome = played(policies, load, against=names, seed=seed, played=_tell)
    except (PolicyError, TraceError, SimulationError) as error:
        raise CliError(str(error)) from error
    record = asdict(outcome)
    if output is Output.JSON:
        sys.stdout.write(replay_json(record))
    elif output is Output.CSV:
        sys.stdout.write(replay_csv(record))
    else:
        print_replay(record, sys.stdout)


def _tell(name: str) -> None:
    if sys.stderr.isatty():
        typer.echo(f"playing {name} ...", err=True)


def _policies(paths: list[Path]) -> dict[str, ServicePolicy]:
    return {found.policy.service: found.policy.core() for found in load_paths(paths)}


def _default_policy(
    model: str | None, gpu: str, tensor_parallel: int, ttft: str, tpot: str, startup: str
) -> dict[str, ServicePolicy]:
    """The default policy: model, objectives and startup time given, nothing else."""
    if model is None:
        raise CliError("what is to be played? Name --policy FILE, or --model with --gpu and --tp")
    pool = {"max": _MOST_REPLICAS, "gpusPerReplica": tensor_parallel, "startupTime": startup}
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "pd-autoscaler"},
        "spec": {
            "stack": "vllm",
            "model": model,
            "engine": {"gpu": gpu, "tensorParallel": tensor_parallel},
            "objectives": {"ttft": {"target": ttft}, "tpot": {"target": tpot}},
            "roles": {role: {"target": {"name": role}, **pool} for role in ("prefill", "decode")},
        },
    }
    return {"pd-autoscaler": _checked(document).core()}


def _checked(document: dict[str, Any]) -> ScalingPolicy:
    """The options as a policy, refused in the words that a file would be."""
    report = parse(json.dumps(document).encode(), Path("options"))
    if report.errors:
        raise PolicyError(report.errors)
    return report.policies[0].policy
