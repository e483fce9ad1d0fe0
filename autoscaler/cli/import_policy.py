"""`pd-autoscaler import`: a scaling policy from what sets the replica counts today."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoscaler.adopt.hpa import NotOursError, hpa_ref, read_hpa
from autoscaler.adopt.keda import read_scaled_object, scaled_object_ref
from autoscaler.adopt.part import with_part
from autoscaler.adopt.pool import Pool, Workload
from autoscaler.adopt.rivals import with_rivals
from autoscaler.adopt.roles import RolesError, assign_roles, other_role, sibling_name
from autoscaler.adopt.workload import fixed_pool, look_at
from autoscaler.adopt.write import Adoption, guess_stack, policy_text
from autoscaler.cli.exits import CliError
from autoscaler.cli.options import Kubeconfig, KubeContext
from autoscaler.config.load import parse
from autoscaler.config.problems import Severity
from autoscaler.core.policy import Role
from autoscaler.daemon.stack_check import stack_problems
from autoscaler.targets.kubernetes.connection import KubeConfigError, connect
from autoscaler.targets.kubernetes.errors import KubeError, NotFoundError

if TYPE_CHECKING:
    from autoscaler.targets.kubernetes.client import KubeClient  # importing it costs half a second


class Setter(StrEnum):
    """What sets the counts today."""

    HPA = "hpa"
    KEDA = "keda"
    DEPLOYMENT = "deployment"
    STATEFULSET = "statefulset"


_BOTH = (Role.PREFILL, Role.DECODE)
_KINDS = {Setter.DEPLOYMENT: "Deployment", Setter.STATEFULSET: "StatefulSet"}


def import_policy(
    setter: Annotated[
        Setter,
        typer.Argument(help="hpa: HorizontalPodAutoscalers; keda: ScaledObjects; else workloads with a fixed count."),
    ],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="One or two of them.", show_default=False)
    ] = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", metavar="NS", help="Where they are.")] = "default",
    prefill: Annotated[
        str | None, typer.Option("--prefill", metavar="NAME", help="The one for prefill, where its name does not say.")
    ] = None,
    decode: Annotated[
        str | None, typer.Option("--decode", metavar="NAME", help="The one for decode, where its name does not say.")
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", metavar="NAME", help="Name of the policy. Default: from the target's.")
    ] = None,
    stack: Annotated[
        str | None, typer.Option("--stack", metavar="NAME", help="Serving stack. Default: by kind, labels and image.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
) -> None:
    """Print a scaling policy made from an HPA, a ScaledObject or a fixed number of replicas; reads only.

    Bounds, behavior and fallback are carried over, in mode recommend. What cannot be is listed at the top, with the
    commands for handing the counts over and back. Name both pools to get both roles; of a single one the other is
    looked for by its name.
    """
    wanted = list(dict.fromkeys((*(names or ()), *(name for name in (prefill, decode) if name is not None))))
    if not 1 <= len(wanted) <= len(_BOTH):
        raise CliError(f"import wants one or two names, the prefill pool's and the decode pool's; got {len(wanted)}")
    for name in wanted:
        if "/" in name or name.endswith((".yaml", ".yml")):
            raise CliError(f"import {setter.value} {name}: wants the name of an object in the cluster, not a file")
    if prefill is not None and prefill == decode:
        raise CliError(f"{prefill} cannot be both --prefill and --decode: name the pool that it is, once")
    known = {name: role for name, role in ((prefill, Role.PREFILL), (decode, Role.DECODE)) if name is not None}
    try:
        client = connect(kubeconfig=kubeconfig, context=context)
        with closing(client):
            found = [_look(client, setter, namespace, name) for name in wanted]
            pools = assign_roles(found, known)
            pools, remarks = _complete(client, namespace, pools)
            pools = {role: _looked_around(client, pool, role, namespace) for role, pool in pools.items()}
    except NotFoundError as error:
        raise CliError(str(error) if error.unserved else f"{error} -n names another namespace") from error
    except (KubeConfigError, KubeError, NotOursError, RolesError) as error:
        raise CliError(str(error)) from error
    chosen = stack or guess_stack(pools[Role.DECODE].workload)
    text = policy_text(Adoption(service or _service(pools), namespace, chosen, pools, remarks))
    _refuse_what_check_refuses(text)
    typer.echo(text, nl=False)


def _look(client: KubeClient, setter: Setter, namespace: str, name: str) -> Pool:
    if setter in _KINDS:
        return fixed_pool(look_at(client, Workload("apps/v1", _KINDS[setter], name), namespace), namespace)
    pool = (
        read_hpa(client.get(hpa_ref(namespace, name)))
        if setter is Setter.HPA
        else read_scaled_object(client.get(scaled_object_ref(namespace, name)))
    )
    try:
        return replace(pool, workload=look_at(client, pool.workload, namespace))
    except KubeError as error:
        unread = f"its target could not be read: {error}"
        return replace(pool, workload=with_part(pool.workload, {}), lost=(*pool.lost, unread))


def _complete(client: KubeClient, namespace: str, pools: dict[Role, Pool]) -> tuple[dict[Role, Pool], tuple[str, ...]]:
    """Both roles; one that was not named is looked for beside the other."""
    if len(pools) == len(_BOTH):
        return {role: pools[role] for role in _BOTH}, ()
    ((given, pool),) = pools.items()
    missing = other_role(given)
    guessed = Workload(pool.workload.api_version, pool.workload.kind, sibling_name(pool.workload.name, missing))
    try:
        other = fixed_pool(look_at(client, guessed, namespace), namespace)
        remark = f"The {missing} pool was found by its name."
    except KubeError:
        other = Pool(f"a guess for {missing}", with_part(guessed, {}), 1, pool.max_replicas, bounds_note="<- a guess")
        remark = f"The {missing} pool is a guess: put in its name, or import both."
    return {role: {given: pool, missing: other}[role] for role in _BOTH}, (remark,)


def _looked_around(client: KubeClient, pool: Pool, role: Role, namespace: str) -> Pool:
    return with_rivals(client, pool, role, namespace) if pool.is_fixed else pool


def _service(pools: dict[Role, Pool]) -> str:
    """What the targets' names have in common, without the role."""
    role, pool = Role.DECODE, pools[Role.DECODE]
    words: Sequence[str] = [word for word in pool.workload.name.split("-") if not word.startswith(role.value)]
    return "-".join(words) or pool.workload.name


def _refuse_what_check_refuses(text: str) -> None:
    report = parse(text.encode(), Path("imported.yaml"))
    found = [*report.errors, *(problem for loaded in report.policies for problem in stack_problems(loaded.policy))]
    errors = (replace(problem, file=None, line=None) for problem in found if problem.severity is Severity.ERROR)
    told = "; ".join(map(str, errors))
    if told:
        raise CliError(f"what was found makes no valid policy: {told}")
