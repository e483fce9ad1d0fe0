"""`pd-autoscaler demo`: the whole pipeline on a simulated service, no Prometheus and no cluster."""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from autoscaler.cli.exits import CliError
from autoscaler.cli.options import Seed
from autoscaler.cli.simulator import say_if_slow
from autoscaler.config.load import parse
from autoscaler.config.model import ScalingPolicy
from autoscaler.core.policy import Role
from autoscaler.daemon import logs
from autoscaler.daemon.rehearsal import Beat, Rehearsal
from autoscaler.report.live import Moment, clock, live_view
from autoscaler.simulation.results import Results
from autoscaler.simulation.static import StaticFleet, smallest_static_fleet
from autoscaler.simulation.traces.formats import bundled_trace
from autoscaler.simulation.traces.reshape import between, times

_START = {Role.PREFILL: 4, Role.DECODE: 2}
_QUIET_S = 900.0


def demo(
    minutes: Annotated[float, typer.Option(min=1.0, max=240.0, help="Traffic to play, in simulated minutes.")] = 240.0,
    rate: Annotated[
        float,
        typer.Option(min=0.1, max=20.0, help="Copies of the trace laid over each other; time is never compressed."),
    ] = 6.0,
    speed: Annotated[
        float, typer.Option(min=0.0, help="Simulated seconds per second; 0 is as fast as the machine can.")
    ] = 240.0,
    seed: Seed = 0,
) -> None:
    """Watch the autoscaler at work on a simulated service; needs no cluster and no Prometheus.

    Simulated prefill and decode pods serve vLLM's metrics over HTTP on loopback. The daemon scrapes them, decides and
    scales a simulated cluster whose pods take three minutes to start. The load is four hours of a real morning, in
    which the tokens to process nearly triple. At the end the same load is played on the smallest constant fleet that
    serves its peak.
    """
    logs.configure(logs.LogFormat.CONSOLE, logs.LogLevel.WARNING, sys.stderr)
    say_if_slow()
    policy = demo_policy()
    trace = times(between(bundled_trace("azure2024_morning"), 0.0, minutes * 60.0), rate, seed)
    typer.echo(f"{len(trace)} requests in {minutes:g} minutes (Azure 2024, code and conversation) on simulated pods")
    with Rehearsal(policy, trace, dict(_START), seed=seed) as rehearsal:
        view = live_view({policy.service: policy.core().objectives}, sys.stdout, quiet_s=_QUIET_S)
        try:
            for beat in rehearsal.beats(speed=speed):
                if beat.tick.decision is None:
                    raise CliError("; ".join(trouble.message for trouble in beat.tick.troubles))
                view.show(Moment(beat.elapsed_s, (beat.tick.decision,), _facts(beat)))
        finally:
            view.close()
        results = rehearsal.results()
        config = rehearsal.config
    typer.echo("\nlooking for the smallest constant fleet that serves the peak ...")
    fleet = smallest_static_fleet(config, trace, start=_peak(results), seed=seed)
    typer.echo(_summary(policy, results, fleet))


def demo_policy() -> ScalingPolicy:
    """The scaling policy that the demo runs under."""
    source = resources.files("autoscaler.simulation").joinpath("data", "demo.yaml")
    return parse(source.read_bytes(), Path("demo.yaml")).policies[0].policy


def _facts(beat: Beat) -> str:
    return f"{beat.arrived} requests so far, {beat.gpus:g} GPUs"


def _peak(results: Results) -> dict[Role, int]:
    """Most replicas that each pool was given: a good place to start the search from."""
    most = dict(_START)
    for action in results.actions:
        most[action.role] = max(most[action.role], action.after)
    return most


def _summary(policy: ScalingPolicy, ours: Results, fleet: StaticFleet) -> str:
    objectives = policy.core().objectives
    constant = ", ".join(f"{count} {role.value}" for role, count in fleet.replicas.items())
    saved = 1.0 - ours.gpu_hours / fleet.results.gpu_hours
    rows = [("", "pd-autoscaler", "static peak"), *_rows(ours, fleet.results)]
    width = max(len(row[0]) for row in rows)
    lines = [f"{name:<{width}}  {mine:>14}  {theirs:>12}" for name, mine, theirs in rows]
    promised = (
        f"objectives: TTFT {objectives.ttft.target_s:g} s and TPOT {objectives.tpot.target_s * 1e3:g} ms for "
        f"{objectives.attainment_ratio:.0%} of the requests; {clock(ours.duration_s)} of traffic"
    )
    peak = (
        f"static peak: {constant}; the smallest constant fleet that meets the objectives in its worst five minutes, "
        "known only in hindsight"
    )
    bill = f"saved: {saved:.0%} of its GPU-hours" if saved >= 0 else f"costs {-saved:.0%} more GPU-hours than it"
    return "\n".join((promised, "", *lines, "", peak, bill))


def _rows(ours: Results, static: Results) -> list[tuple[str, str, str]]:
    return [
        ("requests inside both objectives", f"{ours.attainment_ratio:.2%}", f"{static.attainment_ratio:.2%}"),
        ("TTFT p95", f"{ours.ttft_s[95]:.2f} s", f"{static.ttft_s[95]:.2f} s"),
        ("TPOT p95", f"{ours.tpot_s[95] * 1e3:.1f} ms", f"{static.tpot_s[95] * 1e3:.1f} ms"),
        ("GPU-hours", f"{ours.gpu_hours:.0f}", f"{static.gpu_hours:.0f}"),
        ("changes of replica counts", str(len(ours.actions)), "0"),
    ]
