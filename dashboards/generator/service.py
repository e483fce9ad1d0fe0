"""Service: one service, from its promise to the reason of every number."""

from __future__ import annotations

from functools import partial
from typing import Any

from grafana_foundation_sdk.builders import dashboard as dashboards

from dashboards.generator import palette
from dashboards.generator.frame import choice, filled, frame
from dashboards.generator.kit import HALF, SOURCE, WHOLE, Query, lines, states
from dashboards.generator.promql import own

UID = "pd-autoscaler-service"
_WHERE = 'namespace="$namespace",service="$service"'
_metric = partial(own, _WHERE)
_PARTS = (
    ("queue", "wait for prefill", palette.BLUE),
    ("prefill", "prefill", palette.SKY),
    ("transfer", "KV transfer", palette.PURPLE),
    ("first_decode", "first decode step", palette.ORANGE),
)
_ROLES = (("prefill", palette.PREFILL), ("decode", palette.DECODE))


def _now(name: str, **labels: str) -> str:
    """The metric, whichever of several daemons says it."""
    return f"max({_metric(name, **labels)})"


def _led(name: str, by: str) -> str:
    """States as the daemon that writes sees them, so that a standby's do not show beside them; while none does, all."""
    leads = (
        f"on (instance, namespace, service) group_left () max by (instance, namespace, service) ({_metric('leads')})"
    )
    led = f"max by ({by}) ({_metric(name)} * {leads}) > 0"
    return f"{led} or (max by ({by}) ({_metric(name)}) > 0 unless on () {_now('leads')} > 0)"


def _burn(objective: str) -> str:
    """Mean over an hour, over daemons that come and go meanwhile."""
    return f"avg_over_time(({_now('error_budget_burn_ratio', objective=objective)})[1h:1m])"


def service() -> dict[str, Any]:
    """The dashboard as plain data."""
    made = frame(
        UID,
        "pd-autoscaler / Service",
        "Whether a service keeps what it promises, how large its pools are and why, and what comes next.",
        runbook="runbooks/PdAutoscalerTtftBurn.md",
    )
    made.with_variable(
        choice("namespace", "Namespace", "label_values(pd_autoscaler_mode, namespace)", many=False)
    ).with_variable(
        choice("service", "Service", 'label_values(pd_autoscaler_mode{namespace="$namespace"}, service)', many=False)
    )
    data = filled(
        made,
        [
            ("Promise", _promise()),
            ("Replicas", _replicas()),
            ("Time to first token", _ttft()),
            ("Outlook", _outlook()),
            ("Disaggregation", _switch()),
            ("Shadow against actual", _shadow()),
        ],
    )
    data["annotations"] = {"list": [_scaling("grown", ">", palette.GREEN), _scaling("shrunk", "<", palette.ORANGE)]}
    return data


def _scaling(name: str, sign: str, color: str) -> dict[str, Any]:
    """An annotation where the count that is asked for changed; the SDK does not know Prometheus' fields of these."""
    count = f"max by (role) ({_metric('current_replicas')})"
    built = dashboards.AnnotationQuery().name(f"Pools {name}").enable(True).icon_color(color).datasource(SOURCE).build()
    return {
        **built.to_json(),
        "datasource": SOURCE.to_json(),
        "expr": f"({count} - max by (role) ({_metric('current_replicas')} offset 1m)) {sign} 0",
        "step": "60s",
        "tagKeys": "role",
        "titleFormat": f"{{{{role}}}} {name}",
    }


def _objective(objective: str, name: str, color: str) -> Any:
    return lines(
        f"Is the {name} inside its objective?",
        "At the objective's percentile, as the user sees it. Above the dashed line requests miss the objective.",
        "s",
        Query(_now("latency_seconds", objective=objective), "measured", color),
        Query(_now("objective_seconds", objective=objective), "objective", palette.BAD, dashed=True),
    )


def _promise() -> list[Any]:
    return [
        _objective("ttft", "time to first token", palette.TTFT),
        _objective("tpot", "time per output token", palette.TPOT),
        lines(
            "Are the objectives kept?",
            "Share of requests inside each objective, over the signal's window of some minutes, and the share "
            "promised.",
            "percentunit",
            Query(_now("attainment_ratio", objective="ttft"), "TTFT inside", palette.TTFT),
            Query(_now("attainment_ratio", objective="tpot"), "TPOT inside", palette.TPOT),
            Query(_now("objective_ratio"), "promised", palette.BAD, dashed=True),
            least=None,
        ),
        lines(
            "How fast does the error budget burn?",
            "Mean over an hour. 1 uses the month's budget up exactly, 14.4 in two days.",
            "short",
            Query(_burn("ttft"), "TTFT", palette.TTFT),
            Query(_burn("tpot"), "TPOT", palette.TPOT),
            Query("vector(1)", "used up exactly", palette.BAD, dashed=True),
        ),
    ]


def _pool(role: str, color: str) -> Any:
    return lines(
        f"How many {role} replicas are wanted, asked for and ready?",
        "Wanted is the decision; proposed is what the load asks for before any guard. In enforce mode asked for "
        "follows "
        "wanted within a tick, ready follows after the startup time.",
        "suffix: replicas",
        Query(_now("desired_replicas", role=role), "wanted", color),
        Query(_now("current_replicas", role=role), "asked for", palette.PURPLE),
        Query(_now("ready_replicas", role=role), "ready", palette.GREEN),
        Query(_now("proposed_replicas", role=role), "proposed", palette.SKY, dashed=True),
        Query(_now("min_replicas", role=role), "least", palette.LIMIT, dashed=True),
        Query(_now("max_replicas", role=role), "most", palette.LIMIT, dashed=True),
        steps=True,
    )


def _replicas() -> list[Any]:
    return [
        *(_pool(role, color) for role, color in _ROLES),
        states(
            "Why is each pool as large as it is?",
            "The binding reason of each decision: of the last stage that changed the number, else of the proposal. "
            "docs/metrics.md lists them all.",
            Query(_led("reason", "role, reason"), "{{role}}: {{reason}}"),
            width=WHOLE,
            height=10,
        ),
        lines(
            "How much pressure is on each pool?",
            "Demand over ready replicas. Around 0.9 a pool is busy; above 1 a queue grows.",
            "percentunit",
            *(Query(_now("utilization_ratio", role=role), role, color) for role, color in _ROLES),
            Query("vector(1)", "all that ready replicas can do", palette.BAD, dashed=True),
        ),
        lines(
            "How much headroom does the error budget ask for?",
            "Multiplier on demand, steered by the budget: up fast after a burn, down slowly; below 1 while it lasts.",
            "short",
            *(Query(_now("headroom_ratio", role=role), role, color) for role, color in _ROLES),
            least=None,
        ),
    ]


def _ttft() -> list[Any]:
    return [
        lines(
            "Where does the time to first token go?",
            "Means of the parts, stacked: the wait for prefill and prefill itself are the prefill pool's, the first "
            "decode "
            "step is the decode pool's, the transfer is the link's.",
            "s",
            *(Query(_now("ttft_part_seconds", part=part), name, color) for part, name, color in _PARTS),
            stacked=True,
        ),
        states(
            "What holds requests up?",
            "The bottleneck; `none` while nothing does. More replicas answer prefill and decode, not transfer.",
            Query(_led("bottleneck", "bottleneck"), "{{bottleneck}}"),
        ),
        lines(
            "How long does a KV transfer take?",
            "Mean time of one transfer, data movement only.",
            "s",
            Query(_now("signal_value", scope="service", signal="kv_transfer_time_s"), "transfer", palette.PURPLE),
        ),
        lines(
            "How full are the KV caches?",
            "Mean and fullest decode pod. Close to 100 % requests wait or are thrown out of the batch.",
            "percentunit",
            Query(_now("signal_value", scope="decode", signal="kv_utilization_mean"), "mean", palette.ORANGE),
            Query(_now("signal_value", scope="decode", signal="kv_utilization_max"), "fullest pod", palette.BAD),
        ),
    ]


def _outlook() -> list[Any]:
    return [
        *(
            lines(
                f"What was forecast for {role}, and what came?",
                "In busy replicas. The forecast is drawn at the time that it was made for; the bound is what is "
                "provided for, "
                "drawn when it was set.",
                "suffix: replicas",
                Query(_now("demand_replicas", role=role), "came", color),
                Query(_now("forecast_due_replicas", role=role), "forecast for now", palette.GREEN),
                Query(_now("forecast_upper_replicas", role=role), "bound for what comes", palette.LIMIT, dashed=True),
            )
            for role, color in _ROLES
        ),
        lines(
            "How wrong was the forecast?",
            "Came less forecast, as a share of the larger. Above 0 more came than was expected.",
            "percentunit",
            *(Query(_now("forecast_error_ratio", role=role), role, color) for role, color in _ROLES),
            least=None,
        ),
        states(
            "Which forecaster speaks?",
            "The one whose bounds have cost least so far, in the first hour the lowest. Later flips show no pattern.",
            Query(_led("forecaster", "role, forecaster"), "{{role}}: {{forecaster}}"),
        ),
    ]


def _switch() -> list[Any]:
    return [
        states(
            "Where does the disaggregation switch stand?",
            "Steps between on and off pass within the hour. Empty where the policy leaves the switch alone.",
            Query(_led("switch_step", "step"), "{{step}}"),
            width=HALF,
        ),
        lines(
            "What would each arrangement cost?",
            "GPUs for the same objectives with prefill and decode apart, and together. The switch moves where one "
            "has been "
            "cheaper by more than the dead zone for long enough. Empty where the policy leaves the switch alone.",
            "suffix: GPUs",
            Query(_now("switch_required_gpus", arrangement="apart"), "apart", palette.BLUE),
            Query(_now("switch_required_gpus", arrangement="together"), "together", palette.ORANGE),
        ),
    ]


def _shadow() -> list[Any]:
    return [
        lines(
            "How many GPUs does it use, and how many would do?",
            "Both pools. In recommend mode wanted is the shadow: the gap is the saving, or the shortage, on offer. "
            "The static "
            "peak is the constant fleet for the same load.",
            "suffix: GPUs",
            Query(f"sum(max by (role) ({_metric('current_gpus')}))", "asked for", palette.BLUE),
            Query(f"sum(max by (role) ({_metric('desired_gpus')}))", "wanted", palette.ORANGE),
            Query(_now("peak_gpus"), "static peak", palette.LIMIT, dashed=True),
            steps=True,
        ),
        lines(
            "How far is each pool from what is wanted?",
            "Wanted less asked for. Always 0 in enforce mode but for single ticks; in recommend mode above 0 the "
            "pool is too "
            "small, below 0 too large.",
            "suffix: replicas",
            *(
                Query(f"{_now('desired_replicas', role=role)} - {_now('current_replicas', role=role)}", role, color)
                for role, color in _ROLES
            ),
            steps=True,
            least=None,
        ),
    ]
