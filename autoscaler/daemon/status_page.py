"""The status page: what the daemon sees of each service, what it wants and why; read-only, renews itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import numpy as np

from autoscaler.core.decision import Decision, RoleDecision
from autoscaler.core.policy import LatencyObjective, Mode, Role
from autoscaler.core.signals import CATALOGUE, Scope, Signal
from autoscaler.daemon.conditions import conditions_of
from autoscaler.daemon.ledger import Account
from autoscaler.daemon.logs import blanked, blanked_in
from autoscaler.daemon.recent import Instant
from autoscaler.daemon.status import concerns
from autoscaler.daemon.tick import Tick, Trouble
from autoscaler.report.charts import Chart, Mark, Series, draw
from autoscaler.report.charts.series import Floats
from autoscaler.report.html.page import Column, asset, charts, details, element_id, notes, page, section, table, terms
from autoscaler.report.markup import Markup, element
from autoscaler.report.table import objectives_text
from autoscaler.report.words import path_text, quantity, signal_text, story_text

_MOST_IN_FULL = 4
_LEAST_TO_DRAW = 2
_ALWAYS_TOLD = ("Effective", "Active")  # of the others only what is wrong

Accounts = Mapping[str, Account]
RecentOf = Callable[[str], Sequence[Instant]]


def status_page(
    accounts: Accounts,
    missing: Sequence[str],
    recent: RecentOf,
    now_s: float,
    only: str = "",
    beside: Sequence[Trouble] = (),
) -> str:
    """Render the page.

    Args:
        accounts: What is known of each service.
        missing: What is missing before the daemon does its work, in words.
        recent: The last hour of a service.
        now_s: Unix time.
        only: Which service to show in full; without one all of them while they are few.
        beside: What is wrong beside the ticks of services: with policies, budgets, settings.
    """
    ordered = sorted(accounts, key=lambda name: (-len(concerns(accounts[name])), name))
    full = [only] if only in accounts else ordered if len(ordered) <= _MOST_IN_FULL else []
    wrong = [*missing, *(f"{trouble.dependency}: {trouble.message}" for trouble in beside)]
    parts = [_notices(wrong)] if wrong else []
    if not only and len(ordered) > 1:
        parts.append(_overview(accounts, ordered))
    parts += [_service(name, accounts[name], recent(name)) for name in full]
    if only and only not in accounts:
        parts.append(section(only, "There is no such service; it may have been removed."))
    if not ordered:
        parts.append(section("No services", "No scaling policy is in force. Is a folder or --watch-policies given?"))
    back = [element("p", element("a", "All services", href="./"))] if only else []
    waiting = element("p", id="refresh", class_="notice", hidden=True, role="status")
    return page(
        "pd-autoscaler",
        _lead(accounts, now_s, len(beside)),
        *parts,
        script=asset("refresh.js"),
        top=[*back, waiting],
    )


def _lead(accounts: Accounts, now_s: float, beside: int) -> str:
    troubled = sum(bool(concerns(account)) for account in accounts.values())
    services = f"{len(accounts)} service{'' if len(accounts) == 1 else 's'}"
    health = f"{troubled} to look at" if troubled else "all as they should be"
    health += f", {beside} trouble{'' if beside == 1 else 's'} beside them" if beside else ""
    at = f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{services}, {health}, {at}." if accounts else f"{services}, {at}."


def _overview(accounts: Accounts, ordered: Sequence[str]) -> Markup:
    columns = [Column("Service", words=True), Column("Mode", words=True)]
    columns += [Column("Prefill ready/now → want"), Column("Decode ready/now → want"), Column("Objectives", words=True)]
    columns += [Column("State", words=True)]
    rows = []
    for name in ordered:
        account = accounts[name]
        decision = account.latest.decision if account.latest is not None else None
        pools = [_counts(decision, role) for role in (Role.PREFILL, Role.DECODE)]
        promised = objectives_text(account.policy.objectives, decision.signals) if decision is not None else "–"
        state = ", ".join(map(_words, concerns(account))) or "well"
        link = element("a", name, href=f"./?service={quote(name, safe='')}")
        rows.append([link, account.policy.mode.value, *pools, promised, state])
    return section("Services, worst first", table("Every service at a glance", columns, rows))


def _service(name: str, account: Account, recent: Sequence[Instant]) -> Markup:
    tick = account.latest
    if tick is None:
        return section(name, "The first look at it is under way.")
    parts: list[str] = [_chips(tick, account)]
    wrong = list(_wrong(tick, account))
    if wrong:
        parts += [element("h3", "What is wrong"), notes(wrong)]
    decision = blanked_in(tick.decision)
    if decision is None:
        return section(name, *parts, "No decision was made in the last tick.")
    parts.append(terms(_facts(account, decision)))
    pools = [_pool(name, role, decided, decision) for role, decided in decision.roles.items()]
    pools += [
        element("section", element("h3", role.value), f"Not decided: {why}") for role, why in decision.undecided.items()
    ]
    parts.append(element("div", *pools, class_="pools"))
    if len(recent) >= _LEAST_TO_DRAW:
        parts.append(charts(*_charts(name, account, recent)))
    parts.append(_signal_table(name, decision, Scope.SERVICE))
    return section(name, *parts)


def _chips(tick: Tick, account: Account) -> Markup:
    chips = [
        element("li", f"mode {account.policy.mode.value}"),
        element("li", _hand(tick, account.policy.mode)),
        element("li", f"every {account.policy.interval_s:g} s"),
    ]
    wrong = set(concerns(account))
    for condition in conditions_of(tick):
        if condition.type not in _ALWAYS_TOLD and condition.reason not in wrong:
            continue
        verdict = "bad" if condition.reason in wrong else "good" if condition.type == "Effective" else None
        chips.append(element("li", _words(condition.reason), class_=verdict, title=blanked(condition.message)))
    return element("ul", *chips, class_="chips")


def _hand(tick: Tick, mode: Mode) -> str:
    """Who acts on what is decided."""
    if mode is Mode.RECOMMEND:
        return "speaks for it" if tick.leads else "another daemon speaks for it"
    return "writes for it" if tick.leads else "another daemon writes for it"


def _wrong(tick: Tick, account: Account) -> Iterator[str]:
    """Everything that is not as it should be, each once: troubles, then conditions that no trouble explains."""
    told = dict.fromkeys(f"{trouble.subject}: {blanked(trouble.message)}" for trouble in tick.troubles)
    yield from told
    found = set(concerns(account))
    for condition in conditions_of(tick):
        message = blanked(condition.message)
        if condition.reason in found and not any(part in message for part in told):
            yield f"{_words(condition.reason)}: {message}"


def _words(reason: str) -> str:
    """`SignalsMissing` as `signals missing`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", reason).lower()


def _facts(account: Account, decision: Decision) -> Iterator[tuple[str, str]]:
    yield "Objectives", objectives_text(account.policy.objectives, decision.signals)
    found = decision.attribution
    if found is not None:
        parts = (("queue", found.queue_s), ("prefill", found.prefill_s), ("transfer", found.transfer_s))
        told = [
            f"{part} {quantity(value, 's')}"
            for part, value in (*parts, ("first step", found.decode_s))
            if value is not None
        ]
        yield "Where TTFT goes", ", ".join(told) or "unknown"
        yield "Bottleneck", path_text(found)
    switch = decision.switch
    if switch is not None:
        needs = [
            f"{name} needs {gpus:.3g} GPUs"
            for name, gpus in (("apart", switch.apart_gpus), ("together", switch.together_gpus))
            if gpus is not None
        ]
        yield "Switch", "; ".join([switch.step.value.replace("_", " "), switch.detail, *needs])


def _pool(service: str, role: Role, decided: RoleDecision, decision: Decision) -> Markup:
    uncapped = f" ({decided.uncapped} without guards)" if decided.uncapped != decided.desired else ""
    steps = [
        [
            stage.stage.value,
            f"{stage.before} → {stage.after}",
            stage.reason.value.replace("_", " "),
            "; ".join([stage.detail, *(f"{name} {value:.4g}" for name, value in stage.numbers.items())]).strip("; "),
        ]
        for stage in decided.stages
    ]
    columns = [Column("Step", words=True), Column("Replicas"), Column("Why", words=True), Column("Numbers", words=True)]
    made = table(f"How {role.value} of {service} came to {decided.desired}", columns, steps)
    return element(
        "section",
        element("h3", role.value),
        element("p", f"{decided.ready}/{decided.current} → {decided.desired}{uncapped}", class_="count"),
        element("p", story_text(decided)),
        terms(_evidence(decided)),
        details("Every step from proposal to number", made, name=element_id(service, role.value, "steps")),
        _signal_table(service, decision, Scope(role.value)),
    )


def _evidence(decided: RoleDecision) -> Iterator[tuple[str, str]]:
    known = decided.evidence
    if known is None:
        return
    yield "Engine model", f"{known.model_source}; {known.confidence_ratio:.0%} sure"
    yield "Startup time", quantity(known.startup_time_s, "s")
    if known.demand is not None:
        one = f"; one does {quantity(known.supply_tokens_per_s, 'tokens/s')}" if known.supply_tokens_per_s else ""
        yield "Demand now", f"{known.demand:.2f} replicas of work{one}"
    if known.forecast is not None and known.forecast_upper is not None and known.horizon_s is not None:
        speaker = f" ({known.forecaster.replace('_', ' ')})" if known.forecaster else ""
        margin = f", times {known.margin:.2f} headroom" if known.margin is not None else ""
        yield (
            f"In {quantity(known.horizon_s, 's')}",
            f"{known.forecast:.2f} expected, {known.forecast_upper:.2f} not to be exceeded{speaker}{margin}",
        )


def _signal_table(service: str, decision: Decision, scope: Scope) -> Markup:
    columns = [Column("Signal", words=True), Column("Value"), Column("Age"), Column("What it is", words=True)]
    rows = [
        [name, signal_text(signal), _age(signal), _meaning(scope, name, signal)]
        for name, signal in decision.signals.get(scope, {}).items()
    ]
    usable = sum(signal.usable is not None for signal in decision.signals.get(scope, {}).values())
    made = table(f"Signals of {service}, {scope.value}", columns, rows)
    summary = f"Signals of {scope.value}: {usable} of {len(rows)} usable"
    return details(summary, made, name=element_id(service, scope.value, "signals"))


def _charts(service: str, account: Account, recent: Sequence[Instant]) -> Iterator[Markup]:
    at_s = np.array([instant.at_s for instant in recent])
    for role in recent[-1].ready:
        counts = [
            np.array([float(getattr(instant, what).get(role, np.nan)) for instant in recent])
            for what in ("ready", "desired")
        ]
        series = (
            Series("Wanted", counts[1], Mark.STEPS, 2, dashed=True),
            Series("Ready", counts[0], Mark.STEPS, 1),
        )
        title = f"Has {role.value} of {service} what it wants?"
        yield draw(Chart(title, at_s, series, unit="replicas", unix=True, whole=True, height=120))
    promised = account.policy.objectives
    for name, objective, scale, unit in (("TTFT", promised.ttft, 1.0, "s"), ("TPOT", promised.tpot, 1e3, "ms")):
        values = np.array([_latency(instant, name) for instant in recent]) * scale
        if np.isfinite(values).any():
            yield draw(_objective(f"{name} of {service}", at_s, values, objective, scale, unit))


def _objective(name: str, at_s: Floats, values: Floats, objective: LatencyObjective, scale: float, unit: str) -> Chart:
    series = (
        Series(f"p{objective.percentile_ratio * 100:g}", values, Mark.LINE, 1),
        Series("Target", np.full(values.size, objective.target_s * scale), Mark.LEVEL, 6),
    )
    return Chart(f"{name} against its target", at_s, series, unit=unit, unix=True, height=120)


def _latency(instant: Instant, name: str) -> float:
    value = instant.ttft_s if name == "TTFT" else instant.tpot_s
    return np.nan if value is None else value


def _counts(decision: Decision | None, role: Role) -> str:
    decided = decision.roles.get(role) if decision is not None else None
    return f"{decided.ready}/{decided.current} → {decided.desired}" if decided is not None else "–"


def _age(signal: Signal) -> str:
    return f"{signal.age_s:.0f} s" if signal.age_s is not None else "–"


def _meaning(scope: Scope, name: str, signal: Signal) -> str:
    spec = CATALOGUE[scope].get(name)
    parts = [spec.meaning if spec is not None else "", signal.detail]
    return "; ".join(part for part in parts if part)


def _notices(missing: Sequence[str]) -> Markup:
    return element("div", *(element("p", blanked(why), class_="notice") for why in missing))
