"""The table of metrics of a service: what there is, in which unit, and what it is good for.

The document is made of it and of the table of what the settings file names.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from autoscaler.daemon.ledger import DEPENDENCY_BUCKETS_S, STARTUP_BUCKETS_S, TICK_BUCKETS_S
from autoscaler.daemon.metrics import labels
from autoscaler.daemon.metrics.spec import PREFIX, Spec, counter, gauge, histogram

_GAUGES = (
    # how many
    gauge(
        "current_replicas",
        "replicas",
        "Replicas asked for (spec.replicas).",
        "what desired is compared with; differs for long where decisions are not carried out",
        labels.ROLE,
    ),
    gauge("ready_replicas", "replicas", "Replicas that serve.", "supply; what users feel", labels.ROLE),
    gauge(
        "starting_replicas",
        "replicas",
        "Replicas asked for that do not serve yet.",
        "help on its way; stays above 0 where a scaling is stuck",
        labels.ROLE,
    ),
    gauge(
        "terminating_replicas",
        "replicas",
        "Replicas that drain; they still hold their GPUs.",
        "GPUs that are paid for and do not serve",
        labels.ROLE,
    ),
    gauge(
        "unschedulable_replicas",
        "replicas",
        "Replicas that found no node.",
        "the cluster is out of GPUs, or a request fits no node",
        labels.ROLE,
    ),
    gauge(
        "failing_replicas",
        "replicas",
        "Replicas that crash or cannot pull their image.",
        "growth that will not come",
        labels.ROLE,
    ),
    gauge(
        "proposed_replicas",
        "replicas",
        "What the load asks for, before any guard.",
        "need without patience; `uncapped` in the decision record",
        labels.ROLE,
    ),
    gauge(
        "uncapped_replicas",
        "replicas",
        "What is left of the proposal after signals, tolerance, window and rate; bounds, ratio band, budget and "
        "capacity come after.",
        "above desired: a limit of yours costs latency",
        labels.ROLE,
    ),
    gauge(
        "desired_replicas",
        "replicas",
        "Replicas that a pool should have: the decision.",
        "in recommend mode the shadow to compare current with",
        labels.ROLE,
    ),
    gauge("min_replicas", "replicas", "Lower bound of the policy.", "where desired cannot go", labels.ROLE),
    gauge("max_replicas", "replicas", "Upper bound of the policy.", "where desired cannot go", labels.ROLE),
    gauge(
        "reason",
        "",
        "1 for the binding reason of the latest decision, 0 for all others.",
        "why, at any time; `avg_over_time` gives the share of time that a reason bound",
        labels.ROLE,
        labels.REASON,
    ),
    # demand and supply
    gauge(
        "demand_replicas",
        "replicas",
        "Offered work now, in busy replicas.",
        "load in the unit of the decision",
        labels.ROLE,
    ),
    gauge(
        "replica_supply_tokens_per_second",
        "tokens_per_second",
        "Tokens per second that one busy replica does inside the objectives.",
        "falls when prompts get longer or caches colder",
        labels.ROLE,
    ),
    gauge("utilization_ratio", "ratio", "Demand over ready replicas.", "pressure: above 1 a queue grows", labels.ROLE),
    gauge(
        "headroom_ratio",
        "ratio",
        "Multiplier on demand that the error budget asks for.",
        "rises after a burn, falls slowly to 1 while nothing burns",
        labels.ROLE,
    ),
    gauge("forecast_replicas", "replicas", "Demand expected one lead time ahead.", "what is coming", labels.ROLE),
    gauge(
        "forecast_upper_replicas",
        "replicas",
        "Demand that should not be exceeded then, by past errors.",
        "what is provided for; far above the forecast where that errs",
        labels.ROLE,
    ),
    gauge(
        "forecast_horizon_seconds",
        "seconds",
        "How far ahead the forecast looks.",
        "startup time plus reaction",
        labels.ROLE,
    ),
    gauge(
        "forecast_due_replicas",
        "replicas",
        "What was forecast, one lead time ago, for now.",
        "to lay over demand: forecast against what came",
        labels.ROLE,
    ),
    gauge(
        "forecast_error_ratio",
        "ratio",
        "Demand that came less what was forecast for now, as a share of the larger; at least one replica.",
        "above 0 came more than expected; far from 0 for long: the forecast is not to be trusted",
        labels.ROLE,
    ),
    gauge(
        "forecaster",
        "",
        "1 for the forecaster that speaks, 0 for all others.",
        "the vote goes to the one whose bounds have cost least, in the first hour to the lowest bound; "
        "later flips show a load without pattern",
        labels.ROLE,
        labels.FORECASTER,
    ),
    gauge(
        "model_confidence_ratio",
        "ratio",
        "How sure the engine's timing is: 1 certain, 0 a guess.",
        "calibration; below that of a model that is trusted, rules decide",
        labels.ROLE,
    ),
    gauge(
        "model_trusted",
        "",
        "1 when demand comes from the engine's timing, 0 when rules decide.",
        "which of the two spoke",
        labels.ROLE,
    ),
    gauge(
        "startup_time_seconds",
        "seconds",
        "Time from order to service in force: the median of those seen, else the configured one.",
        "how far ahead one has to look",
        labels.ROLE,
    ),
    # GPUs
    gauge("current_gpus", "gpus", "GPUs of the replicas asked for.", "what is paid for", labels.ROLE),
    gauge(
        "desired_gpus",
        "gpus",
        "GPUs of the replicas that a pool should have.",
        "what the objectives need; in recommend mode the saving on offer",
        labels.ROLE,
    ),
    gauge(
        "peak_gpus",
        "gpus",
        "Most GPUs desired at once since this daemon took the service on: the static fleet for the same load.",
        "less current: saved against a static peak; `max_over_time` reaches back over restarts",
    ),
    gauge(
        "budget_gpus",
        "gpus",
        "Most GPUs that the service may hold; no series without a budget.",
        "how close the limit is",
    ),
    # what was promised, what is kept
    gauge("objective_seconds", "seconds", "The latency that is promised.", "the line to stay below", labels.OBJECTIVE),
    gauge(
        "objective_ratio",
        "ratio",
        "Share of requests that is promised to meet it.",
        "1 less this is the error budget",
        labels.OBJECTIVE,
    ),
    gauge(
        "latency_seconds", "seconds", "The latency at the objective's percentile.", "what users feel", labels.OBJECTIVE
    ),
    gauge(
        "attainment_ratio",
        "ratio",
        "Share of requests inside the objective, over the signal's window.",
        "the promise as it is kept",
        labels.OBJECTIVE,
    ),
    gauge(
        "error_budget_burn_ratio",
        "ratio",
        "Share of requests outside the objective over the share that may be: 1 uses the budget up exactly.",
        "alerts rest on it",
        labels.OBJECTIVE,
    ),
    gauge(
        "ttft_part_seconds",
        "seconds",
        "Mean time that a part of the time to first token takes.",
        "says which pool to look at",
        labels.PART,
    ),
    gauge(
        "bottleneck",
        "",
        "1 for what holds requests up, 0 for all others.",
        "attribution; `none` when nothing does",
        labels.BOTTLENECK,
    ),
    # the switch
    gauge(
        "switch_step",
        "",
        "1 for where the disaggregation switch stands, 0 for all others.",
        "stuck where a step between on and off lasts; no series where the policy leaves the switch alone",
        labels.STEP,
    ),
    gauge(
        "switch_disaggregated",
        "",
        "1 where prefill and decode serve apart, as the stack shows it, else 0.",
        "the position; changes are annotations",
    ),
    gauge(
        "switch_threshold_tokens",
        "tokens",
        "Prompts at least this long are prefilled apart.",
        "no series where the stack has no threshold, or none is set",
    ),
    gauge(
        "switch_required_gpus",
        "gpus",
        "GPUs that an arrangement needs for the same objectives.",
        "the two lines whose crossing moves the switch",
        labels.ARRANGEMENT,
    ),
    # signals
    gauge(
        "signal_value",
        "",
        "A signal in its canonical unit; no series while it may not be used.",
        "everything that a decision rests on",
        labels.SIGNAL,
    ),
    gauge(
        "signal_age_seconds",
        "seconds",
        "Age of the newest sample behind a signal.",
        "a scrape that stopped shows here first",
        labels.SIGNAL,
    ),
    gauge("signal_valid", "", "1 when a signal may be used, else 0.", "absent and stale are not zero", labels.SIGNAL),
    # the daemon itself
    gauge("mode", "", "1 for the mode in force, 0 for the others.", "who only watches, who acts", labels.MODE),
    gauge(
        "condition",
        "",
        "1 when a condition of the policy's status holds, else 0.",
        "Effective: there is something to decide on; Active: decisions are carried out; Limited: a pool wants "
        "more than it may have; Conflicted: somebody else writes; SwitchInProgress: the switch is being moved",
        labels.CONDITION,
    ),
    gauge("leads", "", "1 while this daemon is the one who writes, else 0.", "exactly one of several daemons"),
    gauge("interval_seconds", "seconds", "Seconds between ticks.", "what a tick's age is measured by"),
    gauge(
        "last_tick_timestamp_seconds",
        "seconds",
        "Unix time of the latest tick that ended; before the first, of when the service was taken on.",
        "a loop that stands still",
    ),
)
_COUNTS = (
    counter("decisions", "", "Decisions by binding reason.", "how often each reason bound", labels.ROLE, labels.REASON),
    counter(
        "writes",
        "",
        "Writes of replica counts by what became of them.",
        "scalings, and what stands against them",
        labels.ROLE,
        labels.OUTCOME,
    ),
    counter(
        "errors", "", "Things that were wrong at a tick, by what failed.", "which dependency is sick", labels.DEPENDENCY
    ),
    histogram(
        "tick_duration_seconds",
        "seconds",
        "Time from observing to acting.",
        "its `_count` counts ticks; one longer than the interval skips the next",
        TICK_BUCKETS_S,
    ),
    histogram(
        "dependency_duration_seconds",
        "seconds",
        "Time that a tick spent on a dependency.",
        "which dependency is slow",
        DEPENDENCY_BUCKETS_S,
        labels.TIMED_DEPENDENCY,
    ),
    histogram(
        "replica_startup_seconds",
        "seconds",
        "Startup times of replicas, as they became ready.",
        "how late help comes",
        STARTUP_BUCKETS_S,
        labels.ROLE,
    ),
)

TABLE: Mapping[str, Spec] = MappingProxyType({spec.name: spec for spec in (*_GAUGES, *_COUNTS)})
"""What is said of each service."""
INFO = f"{PREFIX}_info"
INFO_HELP = "Build of the running daemon."


def most_series(roles_by_service: tuple[int, ...]) -> int:
    """Series that a daemon can have, given the number of pools of each of its services.

    `1 + sum over services of (A + B * roles)`: one for the build, A that a service has, B that each pool has.
    """
    fixed, per_role = terms()
    return 1 + sum(fixed + per_role * roles for roles in roles_by_service)


def terms() -> tuple[int, int]:
    """A and B of `most_series`."""
    fixed = sum(spec.most_series(0) for spec in TABLE.values() if not spec.per_role)
    per_role = sum(spec.most_series(1) for spec in TABLE.values() if spec.per_role)
    return fixed, per_role
