"""`explain`: one decision, every step of it."""

from __future__ import annotations

import sys

import typer

from autoscaler.cli.exits import CliError
from autoscaler.cli.options import (
    Kubeconfig,
    KubeContext,
    PolicyArguments,
    PolicyOptions,
    PrometheusUrl,
    policy_paths,
)
from autoscaler.cli.recommend import exit_code, look_once
from autoscaler.config import PolicyError, load_paths
from autoscaler.daemon import logs
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.surroundings import AssemblyError, Surroundings
from autoscaler.report.explain import explain as told


def explain(
    policies: PolicyArguments = None,
    policy: PolicyOptions = None,
    prometheus: PrometheusUrl = None,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
) -> None:
    """Tell how each pool's number comes about: signals, demand, supply, every stage, and what would change it.

    Reads once and writes nothing, as recommend does, with the same exit codes. A single look has no memory: windows
    count as passed, nothing is learned yet, and no other service shares the GPUs. What a daemon decided stands on its
    status page.
    """
    logs.configure(logs.LogFormat.AUTO, logs.LogLevel.WARNING, sys.stderr)
    around, clock = Surroundings(prometheus, kubeconfig, context), SteadyClock()
    try:
        loaded = load_paths(policy_paths(policies, policy))
        ticks = [look_once(found.policy, around, clock) for found in loaded]
    except (PolicyError, AssemblyError) as error:
        raise CliError(str(error)) from error
    sys.stdout.write("\n".join(told(tick.decision) for tick in ticks if tick.decision is not None))
    raise typer.Exit(exit_code(ticks))
