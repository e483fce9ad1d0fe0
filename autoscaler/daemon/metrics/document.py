"""docs/metrics.md, made of the table."""

from __future__ import annotations

from collections.abc import Iterable

from autoscaler.core.signals import CATALOGUE
from autoscaler.daemon.metrics import labels
from autoscaler.daemon.metrics.daemon_table import DAEMON_TABLE
from autoscaler.daemon.metrics.labels import Dimension
from autoscaler.daemon.metrics.spec import Spec
from autoscaler.daemon.metrics.table import INFO, INFO_HELP, TABLE, most_series, terms

_HEAD = """\
# Metrics

The daemon serves its own metrics on `/metrics` (`pd-autoscaler run --listen`), as OpenMetrics or in Prometheus' text
format, whichever the scraper asks for. This page is made of the tables in `autoscaler/daemon/metrics`; a test
keeps the two the same, and a metric that is in no table cannot be exported.

- Every series of a service has the labels `namespace` and `service`: those of its policy, not of the daemon. **Scrape
  with `honor_labels: true`** (`honorLabels: true` in a ServiceMonitor or PodMonitor), as with kube-state-metrics;
  without it Prometheus renames them to `exported_namespace` and `exported_service`, and dashboards and alerts find
  nothing.
  The alert [PdAutoscalerLabelsRenamed](runbooks/PdAutoscalerLabelsRenamed.md) notices.
- All numbers are those of the decision record of the latest tick. A policy that goes takes its series along; a tick
  that fails leaves counters and the policy's own numbers. What is not known has no series: absent is never zero.
- In recommend mode the same is exported as in enforce mode, so `desired` can be compared with `current` before
  anything is handed over.
- Several daemons (`--leader-elect`) all decide and all export; `pd_autoscaler_leads` says which of them writes at the
  time of the scrape. Take the `max` over instances, as the dashboards do.
- There are no exemplars. A single decision is followed by its id, which stands in log lines, Events and records.
"""


def document() -> str:
    """The page as Markdown."""
    return "\n".join((_HEAD, *_tables(), *_labels(), *_signals(), *_cardinality()))


def _tables() -> Iterable[str]:
    yield "## What there is\n"
    yield "| metric | type | labels | meaning | what for |"
    yield "| --- | --- | --- | --- | --- |"
    yield f"| `{INFO}` | info | `version` | {INFO_HELP} | two versions at once are a skew |"
    for spec in TABLE.values():
        yield f"| `{spec.series_name}` | {_type(spec)} | {_names(spec.dimensions)} | {spec.help} | {spec.why} |"
    yield ""
    yield "And of what the settings file names, with that name:\n"
    yield "| metric | type | labels | meaning | what for |"
    yield "| --- | --- | --- | --- | --- |"
    for spec in DAEMON_TABLE.values():
        names = ", ".join(f"`{name}`" for name in spec.label_names)
        yield f"| `{spec.series_name}` | {_type(spec)} | {names} | {spec.help} | {spec.why} |"
    yield ""


def _type(spec: Spec) -> str:
    return f"{spec.kind}, {spec.unit.replace('_', ' ')}" if spec.unit else spec.kind.value


def _names(dimensions: Iterable[Dimension]) -> str:
    return ", ".join(f"`{name}`" for dimension in dimensions for name in dimension.names)


def _labels() -> Iterable[str]:
    yield "## Labels\n"
    yield "Every label is a closed list, but for the names of policies, budgets and webhooks.\n"
    yield "| label | meaning | values |"
    yield "| --- | --- | --- |"
    specs = (*TABLE.values(), *DAEMON_TABLE.values())
    used = {dimension: None for spec in specs for dimension in spec.dimensions}
    for dimension in used:
        yield f"| {_names([dimension])} | {dimension.meaning} | {_values(dimension)} |"
    yield ""


def _values(dimension: Dimension) -> str:
    if dimension is labels.SIGNAL:
        return f"{len(dimension.values)} pairs, below"
    return ", ".join(f"`{value}`" for (value,) in dimension.values)


def _signals() -> Iterable[str]:
    yield "## Signals\n"
    yield "Values of `scope` and `signal`, with the unit of `pd_autoscaler_signal_value`.\n"
    yield "| scope | signal | unit | meaning |"
    yield "| --- | --- | --- | --- |"
    for scope, specs in CATALOGUE.items():
        for signal in specs.values():
            yield f"| `{scope}` | `{signal.name}` | {signal.unit} | {signal.meaning} |"
    yield ""


def _cardinality() -> Iterable[str]:
    fixed, per_role = terms()
    fleet = most_series((2,) * 200)
    yield "## How many series\n"
    yield f"    series <= 1 + sum over services of ({fixed} + {per_role} * pools)\n"
    yield (
        "A shared budget adds 3, and 4 for each of its services, a webhook 3. Nothing else multiplies: no pods, no "
        "models, no replicas, no decisions. A service with prefill and decode "
        f"has at most\n{fixed + 2 * per_role} series, 200 of them {fleet - 1}; with several daemons each has its own. "
        "Histograms count with their buckets. The largest\n"
        f"parts of a service: {_largest()}. A test compares what is exported with this bound.\n"
    )
    yield (
        "A page of 200 services has 10 MB and takes 0.4 s of one core; gzip, which Prometheus asks for, "
        "makes it 0.4 MB."
    )
    yield ""


def _largest() -> str:
    by_size = sorted(TABLE.values(), key=lambda spec: -spec.most_series(2))
    return ", ".join(f"`{spec.series_name}` {spec.most_series(2)}" for spec in by_size[:3])
