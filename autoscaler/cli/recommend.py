"""`recommend`: read once, decide once, print, write nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.options import (
    Kubeconfig,
    KubeContext,
    PolicyArguments,
    PolicyOptions,
    PrometheusUrl,
    policy_paths,
)
from autoscaler.cli.watch import watch
from autoscaler.config import PolicyError, ScalingPolicy, load_paths
from autoscaler.core.policy import Mode
from autoscaler.core.state import State
from autoscaler.daemon import logs
from autoscaler.daemon.assembly import connections, held_policy, on_schedule, require_fit, stack_switch
from autoscaler.daemon.clock import SteadyClock, WallClock
from autoscaler.daemon.scraper import Scraper
from autoscaler.daemon.service import ServiceRunner
from autoscaler.daemon.state_store import MemoryStateStore
from autoscaler.daemon.surroundings import AssemblyError, Surroundings
from autoscaler.daemon.tick import Tick
from autoscaler.report.record import to_json, to_yaml
from autoscaler.report.table import print_table
from autoscaler.targets.base import Outcome


class Output(StrEnum):
    """What the recommendation looks like."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def recommend(
    policies: PolicyArguments = None,
    policy: PolicyOptions = None,
    prometheus: PrometheusUrl = None,
    kubeconfig: Kubeconfig = None,
    context: KubeContext = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="What to print.")] = Output.TABLE,
    watched: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again and again, with real windows, until Ctrl-C.")
    ] = False,
) -> None:
    """Read the signals once and say how many replicas each pool should have; writes nothing.

    Replica counts come from the Kubernetes API where a kubeconfig or a service account is at hand, else from metrics.

    A daemon waits for its stabilisation windows before it acts. A single look has no history to wait for, so windows
    count as passed; tolerance, rates and bounds apply. What is wanted is thus the daemon's next step, once its windows
    agree; "uncapped" is where it would go without guards. With --watch windows take their time, as in the daemon.

    What no API changes is told as the exact change to make by hand, in json and yaml under `instructions`.

    Exit codes: 10 when a service with healthy signals should change, else 3 when signals or replica counts of any
    service are unusable, else 0; 2 for a bad policy or bad usage.
    """
    if watched and output is not Output.TABLE:
        raise CliError(f"--watch shows a table: leave out --output {output.value}")
    # What is wrong is shown below the table that is being watched; a log line would tear it.
    level = logs.LogLevel.ERROR if watched and sys.stdout.isatty() else logs.LogLevel.WARNING
    logs.configure(logs.LogFormat.AUTO, level, sys.stderr)
    try:
        loaded = load_paths(policy_paths(policies, policy))
    except PolicyError as error:
        raise CliError(str(error)) from error
    documents = [found.policy for found in loaded]
    around, clock = Surroundings(prometheus, kubeconfig, context), SteadyClock()
    objectives = {document.service: document.spec.objectives.core() for document in documents}
    try:
        if watched:
            with ExitStack() as stack:
                runners = [_runner(document, around, clock, stack) for document in documents]
                raise typer.Exit(exit_code(watch(runners, objectives, clock, sys.stdout)))
        ticks = [look_once(document, around, clock) for document in documents]
    except AssemblyError as error:
        raise CliError(str(error)) from error
    decisions = [tick.decision for tick in ticks if tick.decision is not None]
    by_hand = {tick.service: {"instructions": instructions(tick)} for tick in ticks}
    if output is Output.JSON:
        sys.stdout.write(to_json(decisions, by_hand))
    elif output is Output.YAML:
        sys.stdout.write(to_yaml(decisions, by_hand))
    else:
        print_table(decisions, objectives, sys.stdout)
        for tick in ticks:
            for instruction in instructions(tick):
                typer.echo(f"{tick.service}: {instruction['change']}")
    raise typer.Exit(exit_code(ticks))


def instructions(tick: Tick) -> list[dict[str, str]]:
    """What no API changes, for a person: of a pool, or of the switch, the exact change."""
    results = [*((role.value, result) for role, result in tick.writes.items()), ("switch", tick.switched)]
    return [
        {"subject": subject, "change": result.message}
        for subject, result in results
        if result is not None and result.outcome is Outcome.INSTRUCTED
    ]


def look_once(document: ScalingPolicy, around: Surroundings, clock: WallClock) -> Tick:
    """Observe and decide once, as if the stabilisation windows had passed; pods without a Prometheus are watched first.

    Raises:
        AssemblyError: Something that the policy needs is not given.
    """
    with ExitStack() as stack:
        return _runner(document, around, clock, stack).tick(clock.now_s())


def _runner(document: ScalingPolicy, around: Surroundings, clock: WallClock, stack: ExitStack) -> ServiceRunner:
    """What looks at a service and writes nothing; closed with the stack."""
    log = logs.get(service=document.service)
    policy = replace(held_policy(document), mode=Mode.RECOMMEND)
    require_fit(document)
    source, target = connections(document, around, clock, log, writes=False)
    store = MemoryStateStore()
    store.save(policy.service, State(started_at_s=0.0))  # remembers since 1970, and nothing of it
    switch = stack_switch(document, around)
    runner = ServiceRunner(policy, source, target, store, log, at=on_schedule(document, clock), switch=switch)
    stack.callback(runner.close)
    if isinstance(source, Scraper):
        source.wait_for_rates()
    return runner


def exit_code(ticks: Iterable[Tick]) -> ExitCode:
    """What the outcome comes to; a change counts only where everything behind it is healthy."""
    codes = {_code(tick) for tick in ticks}
    for code in (ExitCode.CHANGE, ExitCode.UNHEALTHY):
        if code in codes:
            return code
    return ExitCode.OK


def _code(tick: Tick) -> ExitCode:
    if tick.troubles or tick.decision is None:
        return ExitCode.UNHEALTHY
    return ExitCode.CHANGE if tick.decision.changed else ExitCode.OK
