"""`replay`: what a policy would have done with a recorded load."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain, count
from pathlib import Path
from typing import Annotated, Any

import typer

from autoscaler.cli.engines import Gpu, Model, Startup, TensorParallel, Tpot, Ttft, default_policy, refuse_beside_policy
from autoscaler.cli.exits import CliError
from autoscaler.cli.history import LOAD, load_of, read_history
from autoscaler.cli.options import PrometheusUrl, Seed, is_given, named_path
from autoscaler.cli.simulator import say_if_slow
from autoscaler.cli.spans import parse_instant_s, parse_since_s
from autoscaler.cli.sweeps import KEYS, MOST_RATE, cases_of, column_of, parse_sweeps, refuse_twice
from autoscaler.config import PolicyError, ScalingPolicy, load_paths
from autoscaler.config.problems import meant
from autoscaler.report.html.replay import ReplayView, replay_page
from autoscaler.report.html.sweep import sweep_page
from autoscaler.report.progress import ProgressBar
from autoscaler.report.replay import print_replay, replay_csv, replay_json
from autoscaler.simulation.baselines.registry import BASELINES
from autoscaler.simulation.config import SimulationError
from autoscaler.simulation.replay import STATIC_PEAK, known_baseline
from autoscaler.simulation.replay import replay as played
from autoscaler.simulation.sweep import Rows, at_rate, sweep
from autoscaler.simulation.traces import Trace, read_trace
from autoscaler.simulation.traces.trace import TraceError
from autoscaler.simulation.wall_clock import MONDAY_S, OnSchedule

PROMETHEUS = "prometheus"


class Output(StrEnum):
    """What the replay looks like."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Load:
    """What is played, what to know of it, and the Unix time at which it begins."""

    trace: Trace
    remarks: tuple[str, ...] = ()
    begins_s: float = MONDAY_S


def replay(
    context: typer.Context,
    trace: Annotated[
        str,
        typer.Option(
            "--trace", metavar="FILE|prometheus", help="The load: CSV, Mooncake, Azure, BurstGPT, or your own history."
        ),
    ],
    policy: Annotated[
        list[Path] | None,
        typer.Option("--policy", "-p", metavar="FILE", help="Policies to play; may be repeated.", parser=named_path),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0.001, max=MOST_RATE, help="Times the rate, by superposed copies of the load.")
    ] = 1.0,
    against: Annotated[str, typer.Option(metavar="A,B", help="Others to play: hpa, keda, ..., static-peak.")] = "",
    sweeps: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep", metavar="KEY=A,B", help=f"Play every combination of: {', '.join(KEYS)}; may be repeated."
        ),
    ] = None,
    prometheus: PrometheusUrl = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="With --trace prometheus: how far back.")] = "24h",
    begins: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="INSTANT",
            help="When the load began, for schedules: 2026-11-23T08:00+01:00. Default: when Prometheus saw it, else a "
            "Monday at 00:00 UTC.",
        ),
    ] = None,
    model: Model = None,
    gpu: Gpu = "h100",
    tp: TensorParallel = 1,
    ttft: Ttft = "2s",
    tpot: Tpot = "50ms",
    startup: Startup = "240s",
    seed: Seed = 0,
    output: Annotated[Output, typer.Option("--output", "-o", help="What to print.")] = Output.TABLE,
) -> None:
    """Play a recorded load on a simulated service and say what each policy would have attained, and at what cost.

    The service is the one that the first policy describes, or a built-in engine named by --model, --gpu and --tp. All
    but static-peak start from the same fleet. The bound is the estimated cost of a schedule that knows the load
    beforehand.

    With --trace prometheus the load is what your own Prometheus remembers of the first policy's service: its rates and
    length histograms, turned into requests. With --sweep there is a row for each combination, played on all cores.

    Exit codes: 3 when Prometheus cannot be asked, or does not know the load; 2 for a bad policy, load or usage; else 0.
    """
    _refuse_idle(context, trace, named=bool(policy))
    varied = parse_sweeps(sweeps or [])
    _refuse_beside_sweeps(context, varied)
    try:
        policies = _policies(policy) if policy else _default(model, gpu, tp, ttft, tpot, startup)
        names = _rivals(against)
        begins_s = _begins_s(policies, begins)
        load = _dated(_load(trace, policies, prometheus, since, seed, named=bool(policy)), policies, begins_s)
        say_if_slow()
        if varied:
            print_text(_swept(policies, load, varied, names, rate, seed, output), output)
        else:
            print_text(_once(policies, load, names, rate, seed, output), output)
    except (PolicyError, TraceError, SimulationError) as error:
        raise CliError(str(error)) from error


def _rivals(against: str) -> list[str]:
    names = [name.strip() for name in against.split(",") if name.strip()]
    for name in names:
        try:
            known_baseline(name)
        except SimulationError as error:
            raise CliError(f"--against {name}: {error}{meant(name, (*BASELINES, STATIC_PEAK))}") from error
    refuse_twice("--against {}: named twice, and would be played twice: leave one out", names)
    return names


def _refuse_idle(context: typer.Context, trace: str, *, named: bool) -> None:
    """Refuse options that would change nothing: who gives one expects that it does."""
    if named:
        refuse_beside_policy(context)
    if trace == PROMETHEUS:
        return
    for parameter in ("since", "prometheus"):
        if is_given(context, parameter):
            raise CliError(
                f"--{parameter} goes with --trace prometheus only: {trace} is a file, which is played as a whole"
            )


def _refuse_beside_sweeps(context: typer.Context, sweeps: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse the one value of a setting of which a sweep plays others."""
    for key in sweeps:
        if is_given(context, key):
            raise CliError(f"--{key} does not go with --sweep {key}, which names every value that is played")


def print_text(rendered: str | Mapping[str, Any], output: Output) -> None:
    """Print a rendering, or a record in the form asked for."""
    if isinstance(rendered, str):
        sys.stdout.write(rendered)
    elif output is Output.JSON:
        sys.stdout.write(replay_json(rendered))
    elif output is Output.CSV:
        sys.stdout.write(replay_csv(rendered))
    else:
        print_replay(rendered, sys.stdout)


def _once(
    policies: Mapping[str, ScalingPolicy], load: Load, against: list[str], rate: float, seed: int, output: Output
) -> str | Mapping[str, Any]:
    cores = {name: policy.core() for name, policy in policies.items()}
    at = {name: OnSchedule(policy, load.begins_s) for name, policy in policies.items()}
    with ProgressBar(len(cores) + len(against), sys.stderr) as watcher:
        outcome = played(cores, at_rate(load.trace, rate, seed), against=against, seed=seed, watcher=watcher, at=at)
    record = {**outcome.record(), **_remarked(load)}
    if output is not Output.HTML:
        return record
    objectives = next(iter(cores.values())).objectives
    return replay_page(
        ReplayView(record, outcome.duration_s, objectives, outcome.timelines, outcome.need, load.remarks)
    )


def _swept(
    policies: Mapping[str, ScalingPolicy],
    load: Load,
    sweeps: Mapping[str, tuple[str, ...]],
    against: list[str],
    rate: float,
    seed: int,
    output: Output,
) -> str | Mapping[str, Any]:
    cases = cases_of(policies, sweeps, rate, seed, load.begins_s)
    found: dict[int, Rows] = {}
    with ProgressBar(len(cases), sys.stderr) as bar:
        for place, rows in sweep(cases, load.trace, against):
            found[place] = rows
            bar.finished(f"{len(found)} of {len(cases)} combinations")
    rows = [row for place in range(len(cases)) for row in found[place]]
    trace = load.trace if "rate" in sweeps else at_rate(load.trace, rate, seed)
    about = {"trace": trace.name, "requests": len(trace), "duration_s": trace.duration_s}
    record = {**about, "rows": rows, **_remarked(load)}
    return sweep_page(record, [column_of(key) for key in sweeps], load.remarks) if output is Output.HTML else record


def _remarked(load: Load) -> dict[str, Any]:
    return {"remarks": list(load.remarks)} if load.remarks else {}


def _load(
    trace: str, policies: Mapping[str, ScalingPolicy], prometheus: str | None, since: str, seed: int, *, named: bool
) -> Load:
    if trace != PROMETHEUS:
        try:
            read = read_trace(trace)
        except TraceError as error:
            raise CliError(f"{error}{meant(trace, [PROMETHEUS])}") from error
        return Load(read, read.remarks)
    if not named:
        raise CliError(
            "--trace prometheus needs --policy FILE: it says which service's metrics to read, and from where"
        )
    first, since_s = next(iter(policies.values())), parse_since_s(since)
    with ProgressBar(1, sys.stderr) as bar:
        bar.begins(f"reading the last {since} from Prometheus")
        history = read_history(first, prometheus, since_s, LOAD, reached=bar.reached)
    made = load_of(history, seed, f"{first.service}, last {since}", asked_s=since_s)
    return Load(made.trace, made.remarks, history.start_s)


def _begins_s(policies: Mapping[str, ScalingPolicy], begins: str | None) -> float | None:
    """The instant that the user names; to be asked before the load is read, which may take minutes."""
    if begins is None:
        return None
    if not _follow_the_clock(policies):
        raise CliError("--from is the clock of schedules, and no policy has any: leave it out")
    return parse_instant_s(begins)


def _dated(load: Load, policies: Mapping[str, ScalingPolicy], begins_s: float | None) -> Load:
    """The load at that instant; where schedules follow the clock, which one it is stands below."""
    dated = load if begins_s is None else replace(load, begins_s=begins_s)
    if not _follow_the_clock(policies):
        return dated
    when = datetime.fromtimestamp(dated.begins_s, UTC).strftime("%A, %Y-%m-%d %H:%M UTC")
    remark = f"Schedules hold as if the load began on {when}; --from names another instant."
    return replace(dated, remarks=(*dated.remarks, remark))


def _follow_the_clock(policies: Mapping[str, ScalingPolicy]) -> bool:
    return any(policy.spec.schedules for policy in policies.values())


def _policies(paths: list[Path]) -> dict[str, ScalingPolicy]:
    """Policies by name; several may be about one service, each is read for itself."""
    found: dict[str, ScalingPolicy] = {}
    places: set[tuple[Path, int]] = set()
    for path in paths:
        for loaded in load_paths([path]):
            place = (loaded.file.resolve(), loaded.line)
            if place in places:
                raise CliError(f"--policy {loaded.file}: named twice, and would be played twice: leave one out")
            places.add(place)
            name = loaded.policy.service
            names = chain(
                (name, f"{name} ({loaded.file.stem})", f"{name} ({loaded.file})"),
                (f"{name} ({loaded.file}, {number})" for number in count(2)),
            )
            found[next(one for one in names if one not in found)] = loaded.policy
    return found


def _default(
    model: str | None, gpu: str, tensor_parallel: int, ttft: str, tpot: str, startup: str
) -> dict[str, ScalingPolicy]:
    policy = default_policy(model, gpu, tensor_parallel, ttft, tpot, startup)
    return {policy.service: policy}
