"""`doctor`: is everything there that a policy needs?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from autoscaler.cli.doctor_text import lines
from autoscaler.cli.examination import examine_policy
from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.options import (
    Kubeconfig,
    KubeContext,
    PolicyArguments,
    PolicyOptions,
    PrometheusUrl,
    policy_paths,
)
from autoscaler.cli.places import OWN_NAME, own_objects, refuse_unused_places
from autoscaler.config import PolicyError, load_paths
from autoscaler.daemon import logs
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.rights import own_rights
from autoscaler.daemon.settings import StateKind
from autoscaler.daemon.surroundings import AssemblyError, Surroundings


class Output(StrEnum):
    """What the examination looks like."""

    TEXT = "text"
    JSON = "json"


def doctor(
    policies: PolicyArguments = None,
    policy: PolicyOptions = None,
    prometheus: PrometheusUrl = None,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
    leader_elect: Annotated[
        bool, typer.Option("--leader-elect", help="As of run: look for the rights that Leases need.")
    ] = False,
    state: Annotated[
        StateKind, typer.Option(help="As of run: look for the rights that its memory needs.")
    ] = StateKind.MEMORY,
    lease_namespace: Annotated[
        str | None, typer.Option(metavar="NS", help="Namespace of Leases and of ConfigMaps with state.")
    ] = None,
    lease_name: Annotated[str, typer.Option(metavar="NAME", help="What their names begin with.")] = OWN_NAME,
    output: Annotated[Output, typer.Option("--output", "-o", help="text, or json with everything.")] = Output.TEXT,
) -> None:
    """Say of each signal, target and right of a policy whether it is there, and what to do where it is not.

    Asks every query, reads every target and the switch, and holds grace periods against the length of streams; writes
    nothing. Of a query that matches nothing it tells which names, labels and values do exist.

    Exit codes: 3 when a policy would be inert, because a pool cannot be decided on; 2 for a bad policy or bad usage;
    else 0, whatever else there is to improve.
    """
    logs.configure(logs.LogFormat.AUTO, logs.LogLevel.ERROR, sys.stderr)
    around, clock = Surroundings(prometheus, kubeconfig, context), SteadyClock()
    refuse_unused_places(state, leader_elect=leader_elect, lease_namespace=lease_namespace, lease_name=lease_name)
    own = own_objects(state, leader_elect=leader_elect, namespace=lease_namespace, name=lease_name)
    try:
        loaded = [one.policy for one in load_paths(policy_paths(policies, policy))]
        found = [examine_policy(one, around, clock, own_rights([one.service], [one.service], own)) for one in loaded]
    except (PolicyError, AssemblyError) as error:
        raise CliError(str(error)) from error
    if output is Output.JSON:
        plain = [asdict(one) for one in found]
        typer.echo(json.dumps(plain, indent=2, ensure_ascii=False, default=sorted))
    else:
        typer.echo("\n".join(line for one in found for line in lines(one)))
    raise typer.Exit(ExitCode.UNHEALTHY if any(one.inert for one in found) else ExitCode.OK)
