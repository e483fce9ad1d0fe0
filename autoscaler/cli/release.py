"""`release`: give the pools of policies back, before the daemon is taken away."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.options import Kubeconfig, KubeContext, PolicyArguments, PolicyOptions, named_path, policy_paths
from autoscaler.cli.places import OWN_NAME, refuse_unused_places
from autoscaler.config import PolicyError, ScalingPolicy, load_paths
from autoscaler.core.policy import Mode
from autoscaler.daemon import logs
from autoscaler.daemon.assembly import stack_switch, writable_target
from autoscaler.daemon.clock import SteadyClock
from autoscaler.daemon.competition import competitors
from autoscaler.daemon.own_objects import opened_store
from autoscaler.daemon.release import release as give_back
from autoscaler.daemon.settings import Settings, StartError, StateKind
from autoscaler.daemon.state_store import StateStore, StateStoreError
from autoscaler.daemon.surroundings import AssemblyError, Surroundings


def release(
    policies: PolicyArguments = None,
    policy: PolicyOptions = None,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
    state: Annotated[
        StateKind | None, typer.Option(help="Where the daemon keeps its memory. Default: dir if --state-dir is given.")
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of --state dir.", parser=named_path)
    ] = None,
    lease_namespace: Annotated[
        str | None, typer.Option(metavar="NS", help="Namespace of the ConfigMaps of --state configmap.")
    ] = None,
    lease_name: Annotated[
        str, typer.Option(metavar="NAME", help="What the names of the ConfigMaps begin with.")
    ] = OWN_NAME,
) -> None:
    """Restore replica counts, and the switch, as they were before the daemon first changed them.

    A pool that an HPA or another autoscaler scales by now is left to it; at 0 replicas it is woken for it. The switch
    moves once the replicas that it needs are ready, and pools shrink after it: what waits is done by another release.

    The daemon remembers all that with `--state dir` or `--state configmap`: pass the same options here. Stop it, or
    set the policies to `mode: recommend`, before: a daemon that enforces scales again at its next tick.

    Exit codes: 0 when all is given back, 3 when something is not, 2 for bad usage.
    """
    logs.configure(logs.LogFormat.AUTO, logs.LogLevel.WARNING, sys.stderr)
    try:
        documents = [loaded.policy for loaded in load_paths(policy_paths(policies, policy))]
    except PolicyError as error:
        raise CliError(str(error)) from error
    kind = state or (StateKind.DIR if state_dir is not None else StateKind.MEMORY)
    if kind is StateKind.MEMORY:
        raise CliError("with --state memory the memory ended with the daemon: pass --state-dir, or --state configmap")
    refuse_unused_places(kind, state_dir=state_dir, lease_namespace=lease_namespace, lease_name=lease_name)
    if kind is StateKind.DIR and state_dir is not None and not state_dir.is_dir():
        raise CliError(f"--state-dir {state_dir}: no such folder; name the one that the daemon was started with")
    around = Surroundings(None, kubeconfig, context)
    settings = Settings(
        around=around, state=kind, state_dir=state_dir, own_namespace=lease_namespace, own_name=lease_name
    )
    with _opened(settings) as store:
        done = [_one(document, around, store) for document in documents]
    raise typer.Exit(ExitCode.OK if all(done) else ExitCode.UNHEALTHY)


@contextmanager
def _opened(settings: Settings) -> Iterator[StateStore]:
    try:
        with opened_store(settings) as store:
            yield store
    except (StartError, AssemblyError, StateStoreError) as error:
        raise CliError(str(error)) from error


def _one(document: ScalingPolicy, around: Surroundings, store: StateStore) -> bool:
    """Give back one service; says whether all of it is."""
    service = document.service
    if document.spec.mode is Mode.ENFORCE:
        typer.echo(f"{service}: mode is enforce: a daemon that still runs with this policy scales again", err=True)
    client, target = writable_target(document, around)
    made = stack_switch(document, around)
    switch = made.make(target) if made is not None else None
    try:
        found = give_back(service, target, store, competitors(document, client), switch, SteadyClock().now_s())
    finally:
        target.close()
        if made is not None:
            made.close()
    for one in found:
        typer.echo(f"{service}: {one.subject} {one.message}")
    return all(one.done for one in found)
