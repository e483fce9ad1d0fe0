"""`report`: what a service used, what it needed, and what a policy would have saved; from Prometheus alone."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from autoscaler.cli.assess import PARTS, assess, checked_price
from autoscaler.cli.exits import CliError
from autoscaler.cli.options import PolicyArguments, PolicyOptions, PrometheusUrl, Seed, policy_paths
from autoscaler.cli.simulator import say_if_slow
from autoscaler.cli.spans import parse_since_s
from autoscaler.config import PolicyError, load_paths
from autoscaler.report.assessment import record_of
from autoscaler.report.html.report import report_page
from autoscaler.report.markdown import markdown, print_report
from autoscaler.report.progress import ProgressBar
from autoscaler.simulation.config import SimulationError


class Output(StrEnum):
    """What the report looks like."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"


def report(
    policies: PolicyArguments = None,
    policy: PolicyOptions = None,
    prometheus: PrometheusUrl = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back to look, such as 36h or 7d.")] = "7d",
    price: Annotated[
        str | None, typer.Option("--gpu-hour-price", metavar="AMOUNT", help="What a GPU-hour costs you.")
    ] = None,
    currency: Annotated[str | None, typer.Option(metavar="NAME", help="Currency of that price. Default: USD.")] = None,
    seed: Seed = 0,
    output: Annotated[Output, typer.Option("--output", "-o", help="What to print.")] = Output.TABLE,
) -> None:
    """Say what a service used, what its objectives needed, and what a policy would have saved. Writes nothing.

    Everything comes from Prometheus, so it works before the daemon has ever run: replica counts from kube-state-metrics
    or the pods that report, latencies as users saw them, and the load, which is reconstructed from rates and length
    histograms and replayed on a simulated service under your policy and under the one that the report recommends.

    The report says how sure it is, and why. Without spec.engine nothing is replayed: what was used and at risk remains.

    Exit codes: 3 when Prometheus cannot be asked, or does not know the load of a service; 2 for a bad policy or bad
    usage; else 0.
    """
    amount = checked_price(price, currency)
    since_s = parse_since_s(since)
    try:
        loaded = load_paths(policy_paths(policies, policy))
        say_if_slow()
        with ProgressBar(PARTS * len(loaded), sys.stderr) as bar:
            made = [assess(found.policy, prometheus, since_s, amount, seed=seed, watcher=bar) for found in loaded]
    except (PolicyError, SimulationError) as error:
        raise CliError(str(error)) from error
    match output:
        case Output.JSON:
            sys.stdout.write(json.dumps([record_of(one) for one in made], indent=2, allow_nan=False) + "\n")
        case Output.MARKDOWN:
            sys.stdout.write(markdown(made))
        case Output.HTML:
            sys.stdout.write(report_page(made))
        case Output.TABLE:
            print_report(made, sys.stdout)
