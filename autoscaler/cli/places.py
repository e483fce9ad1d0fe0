"""Options that say where the daemon keeps what is its own, held against each other."""

from __future__ import annotations

from pathlib import Path

from autoscaler.cli.exits import CliError
from autoscaler.daemon.rights import OwnObjects
from autoscaler.daemon.settings import StateKind

OWN_NAME = "pd-autoscaler"
"""What the names of the daemon's own objects begin with, unless told otherwise."""


def refuse_unused_places(
    state: StateKind,
    *,
    leader_elect: bool = False,
    state_dir: Path | None = None,
    lease_namespace: str | None = None,
    lease_name: str = OWN_NAME,
) -> None:
    """Refuse a place in which nothing would be kept: whoever names one believes that something is.

    Raises:
        CliError: There is such a place.
    """
    if state_dir is not None and state is not StateKind.DIR:
        raise CliError(f"--state-dir is the folder of --state dir: leave it out, or --state {state.value}")
    if leader_elect or state is StateKind.CONFIGMAP:
        return
    for option, given in (("--lease-namespace", lease_namespace is not None), ("--lease-name", lease_name != OWN_NAME)):
        if given:
            raise CliError(f"{option} is about --leader-elect and --state configmap: pass one of them too")


def own_objects(state: StateKind, *, leader_elect: bool, namespace: str | None, name: str) -> OwnObjects:
    """What a daemon that is run with these options keeps in the cluster for itself.

    Raises:
        CliError: It keeps something there, and nothing says in which namespace.
    """
    keeps_states = state is StateKind.CONFIGMAP
    if namespace is None and (leader_elect or keeps_states):
        raise CliError("where do Leases and state go? pass --lease-namespace, the namespace that the daemon runs in")
    return OwnObjects(namespace or "", name, leases=leader_elect, states=keeps_states)
