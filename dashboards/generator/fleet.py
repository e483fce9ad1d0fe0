"""Fleet: all services at once, worst first."""

from __future__ import annotations

from functools import partial
from typing import Any

from dashboards.generator import palette
from dashboards.generator.frame import choice, filled, frame, service_url, window
from dashboards.generator.kit import THIRD, Column, Query, lines, number, rows
from dashboards.generator.promql import WINDOW, led, own

UID = "pd-autoscaler-fleet"
_WHERE = 'namespace=~"$namespace",service=~"$service"'
_metric = partial(own, _WHERE)
_SERVICE = "max by (namespace, service)"
_OBJECTIVE = "max by (namespace, service, objective)"
_POOL = "max by (namespace, service, role)"
_BURN = ((None, palette.FINE), (1.0, palette.ORANGE), (6.0, palette.BAD))


def _gpus(name: str) -> str:
    return f"sum({_POOL} ({_metric(name)}))"


def _condition(name: str) -> str:
    return led("namespace, service", _WHERE, "condition", condition=name)


def _there(expr: str) -> str:
    """What reaches back in time, of the services that there are now."""
    return f"({expr} and on (namespace, service) {_metric('mode')})"


def _holding(name: str) -> str:
    """What a service has of a shared budget, by the word of the daemon that divides it."""
    return led("budget, namespace, service", _WHERE, f"shared_budget_service_{name}")


def _burn() -> str:
    """Mean over an hour of the worse objective, over daemons that come and go meanwhile."""
    mean = f"avg_over_time(({_OBJECTIVE} ({_metric('error_budget_burn_ratio')}))[1h:1m])"
    return _there(f"{_SERVICE} ({mean})")


def _peak() -> str:
    return _there(f"{_SERVICE} (max_over_time({_metric('peak_gpus')}[7d]))")


def fleet() -> dict[str, Any]:
    """The dashboard as plain data."""
    made = frame(
        UID,
        "pd-autoscaler / Fleet",
        "Which services miss what they promise, what they cost, and which of them need somebody. Worst first.",
        runbook="runbooks/PdAutoscalerTtftBurn.md",
    )
    made.with_variable(
        choice("namespace", "Namespace", "label_values(pd_autoscaler_mode, namespace)", many=True)
    ).with_variable(
        choice("service", "Service", 'label_values(pd_autoscaler_mode{namespace=~"$namespace"}, service)', many=True)
    ).with_variable(window(_WHERE))
    return filled(
        made, [("Promises", _promises()), ("GPUs", _cost()), ("Shared budgets", _shared()), ("Trouble", _trouble())]
    )


def _promises() -> list[Any]:
    kept = f"{_OBJECTIVE} ({_metric('attainment_ratio')}) >= bool {_OBJECTIVE} ({_metric('objective_ratio')})"
    return [
        number(
            "What share of objectives is kept now?",
            "TTFT and TPOT of each service, counted one by one: attained share at least the promised one.",
            "percentunit",
            Query(f"avg({kept})", "kept"),
            steps=[(None, palette.BAD), (0.95, palette.ORANGE), (1.0, palette.FINE)],
        ),
        number(
            "How fast does the worst service burn its error budget?",
            "Mean over the last hour. 1 uses the budget of the month up exactly; above 14.4 somebody is paged.",
            "short",
            Query(f"max({_burn()})", "burn"),
            steps=_BURN,
        ),
        number(
            "How many GPUs are asked for now?",
            "Of all replicas that are asked for, ready or not.",
            "suffix: GPUs",
            Query(_gpus("current_gpus"), "GPUs"),
        ),
        number(
            "How many GPUs are saved against a static peak?",
            "Most GPUs that each service wanted at once within the last week (or since it is known), less what is "
            "asked for "
            "now. Negative while more is asked for than was ever needed.",
            "suffix: GPUs",
            Query(f"sum({_peak()} - sum by (namespace, service) ({_POOL} ({_metric('current_gpus')})))", "GPUs"),
            steps=[(None, palette.ORANGE), (0.0, palette.FINE)],
        ),
        rows(
            "Which services miss their objectives most?",
            "Burn is the mean of the last hour and of the worse objective; shares are those of the last minutes. A "
            "click on "
            "a service opens it.",
            [
                Column("burn", _burn(), "short", _BURN),
                Column("TTFT inside", f"{_SERVICE} ({_metric('attainment_ratio', objective='ttft')})", "percentunit"),
                Column("TPOT inside", f"{_SERVICE} ({_metric('attainment_ratio', objective='tpot')})", "percentunit"),
                Column("promised", f"{_SERVICE} ({_metric('objective_ratio')})", "percentunit"),
                Column("GPUs now", f"sum by (namespace, service) ({_POOL} ({_metric('current_gpus')}))", "short"),
                Column("GPUs wanted", f"sum by (namespace, service) ({_POOL} ({_metric('desired_gpus')}))", "short"),
                Column("GPUs at peak", _peak(), "short"),
            ],
            keys=("namespace", "service"),
            sort="burn",
            links=[("Open the service", service_url("${__data.fields.namespace}", "${__data.fields.service}"))],
        ),
        lines(
            "Which services burn their error budgets fastest?",
            "The eight worst, mean over an hour and the worse objective. Above 1 the month's budget will not last.",
            "short",
            Query(f"topk(8, {_burn()})", "{{namespace}}/{{service}}"),
            Query("vector(1)", "budget used up exactly", palette.LIMIT, dashed=True),
            width=24,
        ),
    ]


def _cost() -> list[Any]:
    return [
        lines(
            "How many GPUs are used, wanted, and allowed?",
            "Wanted is what the decisions ask for; in recommend mode the gap to used is the saving on offer. The "
            "static "
            "peak is the fleet without autoscaling for the same load. Budgets count where a policy has one.",
            "suffix: GPUs",
            Query(_gpus("current_gpus"), "asked for", palette.BLUE),
            Query(_gpus("desired_gpus"), "wanted", palette.ORANGE),
            Query(f"sum({_SERVICE} ({_metric('peak_gpus')}))", "static peak", palette.LIMIT, dashed=True),
            Query(f"sum({_SERVICE} ({_metric('budget_gpus')}))", "budget", palette.PURPLE, dashed=True),
            steps=True,
        ),
        lines(
            "Which services use most GPUs?",
            "GPUs of all replicas that are asked for; the eight largest services.",
            "suffix: GPUs",
            Query(
                f"topk(8, sum by (namespace, service) ({_POOL} ({_metric('current_gpus')})))",
                "{{namespace}}/{{service}}",
            ),
            steps=True,
        ),
    ]


def _shared() -> list[Any]:
    held, wanted, granted = (_holding(f"{what}_gpus") for what in ("held", "wanted", "granted"))
    steps = ((None, palette.GREY), (1.0, palette.BAD))
    return [
        lines(
            "How full are the shared budgets?",
            "GPUs that the services of a budget hold together, draining ones included, against what they may. Empty "
            "where no services share GPUs. What they would hold beyond that waits.",
            "suffix: GPUs",
            Query("max by (budget) (pd_autoscaler_shared_budget_held_gpus)", "{{budget}} held", palette.BLUE),
            Query("max by (budget) (pd_autoscaler_shared_budget_waiting_gpus)", "{{budget}} waiting", palette.ORANGE),
            Query("max by (budget) (pd_autoscaler_shared_budget_gpus)", "{{budget}} all", palette.LIMIT, dashed=True),
            width=THIRD,
            steps=True,
        ),
        rows(
            "Who holds what of a shared budget, and who is cut?",
            "Cut is what a service would hold if it were alone, less what it may: others of a higher priority come "
            "first, or as many of its own want more. Who holds more than it may gives some back; who holds less "
            "waits until others have let go. One that only recommends keeps what it has, and has no share.",
            [
                Column("cut", f"clamp_min({wanted} - {granted}, 0)", "short", steps),
                Column("holds", held, "short"),
                Column("may hold", granted, "short"),
                Column("would hold alone", wanted, "short"),
                Column("priority", _holding("priority"), "short"),
            ],
            keys=("budget", "namespace", "service"),
            sort="cut",
            links=[("Open the service", service_url("${__data.fields.namespace}", "${__data.fields.service}"))],
            width=2 * THIRD,
        ),
    ]


def _trouble() -> list[Any]:
    limited, conflicted = _condition("Limited"), _condition("Conflicted")
    blind = f"1 - {_condition('Effective')}"
    held = f"(1 - {_condition('Active')}) * on (namespace, service) {_SERVICE} ({_metric('mode', mode='enforce')})"
    decided = _metric("decisions_total")
    steps = ((None, palette.GREY), (1.0, palette.BAD))
    return [
        rows(
            "Which services are limited, held, in conflict or blind?",
            "1 where it is so. Blind: signals or counts are missing. Held: in enforce mode, yet nothing is carried "
            "out. In "
            "conflict: somebody else writes. Limited: a pool wants more than it may have.",
            [
                Column("in trouble", f"{blind} + {held} + {conflicted} + {limited}", "short", steps),
                Column("blind", blind, "short", steps),
                Column("held", held, "short", steps),
                Column("in conflict", conflicted, "short", steps),
                Column("limited", limited, "short", steps),
            ],
            keys=("namespace", "service"),
            sort="in trouble",
            links=[("Open the service", service_url("${__data.fields.namespace}", "${__data.fields.service}"))],
            width=12,
        ),
        lines(
            "How many services are limited, held, in conflict or blind?",
            "The same over time, counted.",
            "suffix: services",
            Query(f"sum({blind})", "blind", palette.BAD),
            Query(f"sum({held})", "held", palette.PURPLE),
            Query(f"sum({conflicted})", "in conflict", palette.ORANGE),
            Query(f"sum({limited})", "limited", palette.BLUE),
            steps=True,
        ),
        lines(
            "What binds the pools?",
            "Share of all decisions by binding reason; docs/metrics.md lists the reasons. Much `rate_limited` or "
            "`at_max` "
            "says that the limits are tight.",
            "percentunit",
            Query(
                f"sum by (reason) (rate({decided}{WINDOW})) / on () group_left () sum(rate({decided}{WINDOW})) > 0",
                "{{reason}}",
            ),
            width=24,
            stacked=True,
            steps=True,
        ),
    ]
