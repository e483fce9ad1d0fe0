"""Autoscaler health: the daemon itself."""

from __future__ import annotations

from functools import partial
from typing import Any

from dashboards.generator import palette
from dashboards.generator.frame import choice, filled, frame, window
from dashboards.generator.kit import Column, Query, lines, number, rows
from dashboards.generator.promql import WINDOW, led, own

UID = "pd-autoscaler-health"
_WHERE = 'namespace=~"$namespace",service=~"$service"'
_metric = partial(own, _WHERE)
_WAITS = (
    ("signals", palette.BLUE),
    ("replicas", palette.ORANGE),
    ("state", palette.GREEN),
    ("write", palette.PURPLE),
)


def health() -> dict[str, Any]:
    """The dashboard as plain data."""
    made = frame(
        UID,
        "pd-autoscaler / Autoscaler health",
        "Whether the autoscaler itself is well: ticks, what they depend on, who leads, what it has learned.",
        runbook="runbooks/PdAutoscalerTicksStopped.md",
    )
    made.with_variable(
        choice("namespace", "Namespace", "label_values(pd_autoscaler_mode, namespace)", many=True)
    ).with_variable(
        choice("service", "Service", 'label_values(pd_autoscaler_mode{namespace=~"$namespace"}, service)', many=True)
    ).with_variable(window(_WHERE))
    return filled(
        made,
        [
            ("Ticks", _ticks()),
            ("Dependencies", _dependencies()),
            ("Leader", _leader()),
            ("Calibration", _calibration()),
        ],
    )


def _ticks() -> list[Any]:
    spent, count = _metric("tick_duration_seconds_sum"), _metric("tick_duration_seconds_count")
    per_tick = f"sum(rate({spent}{WINDOW})) / sum(rate({count}{WINDOW}))"
    return [
        number(
            "How many services are looked after?",
            "Services with a policy in force.",
            "suffix: services",
            Query(f"count(max by (namespace, service) ({_metric('interval_seconds')}))", "services"),
        ),
        number(
            "How long ago was the oldest tick?",
            "In intervals of the service that waits longest; above 5 an alert fires.",
            "suffix: intervals",
            Query(
                f"max((time() - {led('namespace, service', _WHERE, 'last_tick_timestamp_seconds')}) "
                f"/ max by (namespace, service) ({_metric('interval_seconds')}))",
                "intervals",
            ),
            steps=[(None, palette.FINE), (2.0, palette.ORANGE), (5.0, palette.BAD)],
        ),
        number(
            "How long does a tick take?",
            "Mean over five minutes, or three intervals where those are longer.",
            "s",
            Query(per_tick, "mean"),
        ),
        number(
            "How many things went wrong in the last hour?",
            "Troubled ticks, all services and dependencies.",
            "short",
            Query(f"sum(increase({_metric('errors_total')}[1h])) or vector(0)", "errors"),
            steps=[(None, palette.FINE), (1.0, palette.ORANGE), (100.0, palette.BAD)],
        ),
        lines(
            "Do ticks end in time?",
            "The shortest interval of a service, and the tick that 99 of 100 do not exceed. One longer than its "
            "interval "
            "skips the next.",
            "s",
            Query(
                f"histogram_quantile(0.99, sum by (le) (rate({_metric('tick_duration_seconds_bucket')}{WINDOW})))",
                "99 of 100 ticks",
                palette.BLUE,
            ),
            Query(f"min({_metric('interval_seconds')})", "shortest interval", palette.BAD, dashed=True),
        ),
        lines(
            "How many ticks are there a second?",
            "All services; a step down is a service, or a daemon, that stopped.",
            "suffix: /s",
            Query(f"sum(rate({_metric('tick_duration_seconds_count')}{WINDOW}))", "ticks", palette.BLUE),
        ),
    ]


def _dependencies() -> list[Any]:
    ticks = f"sum(rate({_metric('tick_duration_seconds_count')}{WINDOW}))"
    return [
        lines(
            "How long do ticks wait, and for what?",
            "Mean seconds of a tick, stacked: signals from Prometheus or the pods, replica counts and writes with the "
            "Kubernetes API, state wherever it is kept.",
            "s",
            *(
                Query(
                    f"sum(rate({_metric('dependency_duration_seconds_sum', dependency=name)}{WINDOW})) / {ticks}",
                    name,
                    color,
                )
                for name, color in _WAITS
            ),
            stacked=True,
        ),
        lines(
            "What goes wrong?",
            "Troubled ticks a second, by what failed.",
            "suffix: /s",
            Query(
                f"sum by (dependency) (rate({_metric('errors_total')}{WINDOW})) > 0 or label_replace(vector(0), "
                '"dependency", "none", "", "")',
                "{{dependency}}",
            ),
        ),
        lines(
            "What becomes of writes?",
            "Writes of replica counts an hour, by outcome. Other than `applied`, `dry_run` and `instructed` "
            "somebody should "
            "look.",
            "suffix: /h",
            Query(f"sum by (outcome) (increase({_metric('writes_total')}[1h])) > 0", "{{outcome}}"),
            steps=True,
        ),
        lines(
            "Which signals may not be used?",
            "Share of services in which a signal is absent or stale. Some are always absent on some stacks.",
            "percentunit",
            Query(f"topk(8, 1 - avg by (scope, signal) ({_metric('signal_valid')}))", "{{scope}}: {{signal}}"),
        ),
        lines(
            "How old are the signals?",
            "Age of the newest sample behind each signal, of the service where it is oldest; the eight oldest.",
            "s",
            Query(f"topk(8, max by (scope, signal) ({_metric('signal_age_seconds')}))", "{{scope}}: {{signal}}"),
            width=24,
        ),
    ]


def _leader() -> list[Any]:
    return [
        lines(
            "Who leads?",
            "Services that each daemon writes for. The sum is the number of services; less, and one has no leader.",
            "suffix: services",
            Query(f"sum by (instance) (max by (instance, namespace, service) ({_metric('leads')}))", "{{instance}}"),
            steps=True,
        ),
        rows(
            "Which versions run?",
            "Daemons per version; more than one for long is a rollout that is stuck.",
            [Column("daemons", "count by (version) (max by (instance, version) (pd_autoscaler_info))", "short")],
            keys=("version",),
            sort="daemons",
            width=12,
        ),
    ]


def _calibration() -> list[Any]:
    return [
        lines(
            "How sure are the engine models?",
            "1 is certain, 0 a guess; the eight least sure pools. Below what is trusted, rules decide in place of "
            "the model.",
            "percentunit",
            Query(
                f"bottomk(8, max by (namespace, service, role) ({_metric('model_confidence_ratio')}))",
                "{{namespace}}/{{service}} {{role}}",
            ),
        ),
        lines(
            "What share of pools is decided by a model?",
            "The others go by rules until live signals have taught enough.",
            "percentunit",
            Query(f"avg(max by (namespace, service, role) ({_metric('model_trusted')}))", "by model", palette.BLUE),
        ),
        lines(
            "How wrong are the forecasts?",
            "Mean over an hour of the error without its sign; the eight worst pools.",
            "percentunit",
            Query(
                "topk(8, max by (namespace, service, role) "
                f"(avg_over_time(abs({_metric('forecast_error_ratio')})[1h:1m])))",
                "{{namespace}}/{{service}} {{role}}",
            ),
        ),
        lines(
            "How long do replicas take to start?",
            "The startup time that decisions look ahead by; the eight slowest pools.",
            "s",
            Query(
                f"topk(8, max by (namespace, service, role) ({_metric('startup_time_seconds')}))",
                "{{namespace}}/{{service}} {{role}}",
            ),
        ),
    ]
