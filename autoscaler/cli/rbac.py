"""`pd-autoscaler rbac`: the Roles that a daemon with these policies needs."""

from __future__ import annotations

from typing import Annotated

import typer
import yaml

from autoscaler.cli.exits import CliError
from autoscaler.cli.options import PolicyArguments, PolicyOptions, policy_paths
from autoscaler.cli.places import OWN_NAME, own_objects, refuse_unused_places
from autoscaler.cli.settings import SettingsFile, file_settings
from autoscaler.config import PolicyError, load_paths
from autoscaler.daemon.assembly import require_fit
from autoscaler.daemon.process import shared_budgets
from autoscaler.daemon.rights import (
    marking_rights,
    own_rights,
    roles_of,
    target_rights,
    telling_rights,
    watch_rights,
)
from autoscaler.daemon.settings import StateKind
from autoscaler.daemon.surroundings import AssemblyError


def rbac(
    policies: PolicyArguments = None,
    policy: PolicyOptions = None,
    watch_policies: Annotated[
        bool, typer.Option("--watch-policies", help="The daemon takes these policies from the cluster.")
    ] = False,
    namespace: Annotated[
        str | None, typer.Option(metavar="NS", help="Namespace of --watch-policies. Default: all of them.")
    ] = None,
    settings_file: SettingsFile = None,
    leader_elect: Annotated[bool, typer.Option("--leader-elect", help="Several daemons share the work.")] = False,
    state: Annotated[StateKind, typer.Option(help="Where the daemon keeps its memory.")] = StateKind.MEMORY,
    lease_namespace: Annotated[
        str | None, typer.Option(metavar="NS", help="Namespace of Leases and of ConfigMaps with state.")
    ] = None,
    mark_pods: Annotated[
        bool, typer.Option("--mark-pods", help="With the right to mark, before a shrink, which pods should leave.")
    ] = False,
    lease_name: Annotated[
        str, typer.Option(metavar="NAME", help="What their names begin with, and the name of the Roles.")
    ] = OWN_NAME,
) -> None:
    """Print Roles with the least rights that `run` needs for these policies, in their mode, with the same options.

    A policy in recommend mode gets no right to write its targets. Rights that a name can be put to are limited to the
    objects that the policies name; list, watch and create cannot be.
    """
    try:
        documents = [loaded.policy for loaded in load_paths(policy_paths(policies, policy))]
        for document in documents:
            require_fit(document)
    except (PolicyError, AssemblyError) as error:
        raise CliError(str(error)) from error
    if namespace is not None and not watch_policies:
        raise CliError("--namespace says where --watch-policies looks: pass that too")
    unseen = [document for document in documents if namespace not in (None, "", document.metadata.namespace)]
    if unseen:
        where = f"{unseen[0].service} is in namespace {unseen[0].metadata.namespace}"
        raise CliError(f"{where}, where a daemon with --namespace {namespace} does not look")
    refuse_unused_places(state, leader_elect=leader_elect, lease_namespace=lease_namespace)
    own = own_objects(state, leader_elect=leader_elect, namespace=lease_namespace, name=lease_name)
    services, budgets = [document.service for document in documents], shared_budgets(file_settings(settings_file))
    rights = {
        *(right for document in documents for right in target_rights(document)),
        *(right for document in documents for right in telling_rights(document, is_object=watch_policies)),
        *(right for document in documents if mark_pods for right in marking_rights(document)),
        *own_rights(services, budgets.leases(services), own),
        *(watch_rights(namespace or "") if watch_policies else ()),
    }
    typer.echo(yaml.safe_dump_all(roles_of(rights, lease_name), sort_keys=False), nl=False)
