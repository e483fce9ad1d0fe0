"""The policy behind `--model --gpu --tp`, for who has no policy file yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from autoscaler.cli.exits import CliError
from autoscaler.cli.options import is_given
from autoscaler.cli.sweeps import checked
from autoscaler.config import ScalingPolicy
from autoscaler.config.model import API_VERSION, KIND

_MOST_REPLICAS = 64
NAME = "pd-autoscaler"

Model = Annotated[str | None, typer.Option(help="Without a policy: the model, such as llama-3.1-70b.")]
Gpu = Annotated[str, typer.Option(help="Without a policy: the accelerator.")]
TensorParallel = Annotated[int, typer.Option(min=1, help="Without a policy: tensor parallelism, GPUs per replica.")]
Ttft = Annotated[str, typer.Option(help="Without a policy: TTFT target.")]
Tpot = Annotated[str, typer.Option(help="Without a policy: TPOT target.")]
Startup = Annotated[str, typer.Option(help="Without a policy: startup time of a replica.")]

# What the options say, by parameter: their name, and the key of a policy that says it.
_IN_A_POLICY: Mapping[str, tuple[str, str]] = {
    "model": ("--model", "spec.model"),
    "gpu": ("--gpu", "spec.engine.gpu"),
    "tp": ("--tp", "spec.engine.tensorParallel"),
    "ttft": ("--ttft", "spec.objectives.ttft.target"),
    "tpot": ("--tpot", "spec.objectives.tpot.target"),
    "startup": ("--startup", "spec.roles.prefill.startupTime and spec.roles.decode.startupTime"),
}
_SWEPT = ("ttft", "tpot", "startup")


def refuse_beside_policy(context: typer.Context) -> None:
    """Refuse the options that stand for a policy where one is named.

    Raises:
        CliError: One was given; says which key of the policy says it.
    """
    for parameter, (option, key) in _IN_A_POLICY.items():
        if is_given(context, parameter):
            sweep = f", or play other values with --sweep {parameter}=A,B" if parameter in _SWEPT else ""
            raise CliError(f"{option} does not go with --policy, which says it itself: set {key} there{sweep}")


def default_policy(
    model: str | None, gpu: str, tensor_parallel: int, ttft: str, tpot: str, startup: str
) -> ScalingPolicy:
    """The default policy: model, objectives and startup time given, nothing else.

    Raises:
        CliError: No model is named.
        PolicyError: A value is not allowed.
    """
    if model is None:
        raise CliError("what is to be played? Name --policy FILE, or --model with --gpu and --tp")
    pool = {"max": _MOST_REPLICAS, "gpusPerReplica": tensor_parallel, "startupTime": startup}
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": NAME},
        "spec": {
            "stack": "vllm",
            "model": model,
            "engine": {"gpu": gpu, "tensorParallel": tensor_parallel},
            "objectives": {"ttft": {"target": ttft}, "tpot": {"target": tpot}},
            "roles": {role: {"target": {"name": role}, **pool} for role in ("prefill", "decode")},
        },
    }
    return checked(document, "your options")
