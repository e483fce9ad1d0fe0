"""What the daemon sees and why it decides so, as plain data: `/status.json`, and what the status page is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoscaler import __version__
from autoscaler.core.decision import Decision
from autoscaler.core.policy import Objectives
from autoscaler.core.signals import Scope
from autoscaler.daemon.conditions import OF_EFFECTIVE, conditions_of
from autoscaler.daemon.ledger import Account
from autoscaler.daemon.logs import blanked, blanked_in
from autoscaler.daemon.tick import Dependency, Trouble
from autoscaler.report.record import record, rfc3339

_GOOD_WHEN_FALSE = frozenset({"Limited", "Conflicted"})
_AS_ASKED = frozenset({"Active", "SwitchInProgress"})
"""Conditions that are what the user asked for, whichever way they stand."""


def status(
    accounts: Mapping[str, Account], missing: Sequence[str], now_s: float, beside: Sequence[Trouble] = ()
) -> dict[str, Any]:
    """The record of `/status.json`: finite numbers, strings, lists and objects; messages hold no secrets.

    Args:
        accounts: What is known of each service.
        missing: What is missing before the daemon does its work, in words.
        now_s: Unix time.
        beside: What is wrong beside the ticks of services: with policies, budgets, settings.
    """
    return {
        "version": __version__,
        "at": rfc3339(now_s),
        "missing": [blanked(why) for why in missing],
        "troubles": [_trouble(trouble) for trouble in beside],
        "services": [_service(name, account, now_s) for name, account in accounts.items()],
    }


def concerns(account: Account) -> list[str]:
    """What is not as it should be, a word each; empty while all is well."""
    tick = account.latest
    if tick is None:
        return ["Starting"]
    found = _missed(account.policy.objectives, tick.decision) if tick.decision is not None else []
    told = set(OF_EFFECTIVE)
    for condition in conditions_of(tick):
        wrong = condition.holds is (condition.type in _GOOD_WHEN_FALSE)
        if wrong and condition.type not in _AS_ASKED:
            found.append(condition.reason)
            told |= {Dependency.WRITE} if condition.type == "Conflicted" else set()
    failed = dict.fromkeys(trouble.dependency for trouble in tick.troubles if trouble.dependency not in told)
    return [*found, *(f"{dependency.value.capitalize()}Failed" for dependency in failed)]


def _missed(objectives: Objectives, decision: Decision) -> list[str]:
    """Objectives that users see missed now."""
    seen = decision.signals.get(Scope.SERVICE, {})
    promised = {"Ttft": objectives.ttft, "Tpot": objectives.tpot}
    values = {name: signal.usable for name in promised if (signal := seen.get(f"{name.lower()}_s")) is not None}
    return [f"{name}Missed" for name, value in values.items() if value is not None and value > promised[name].target_s]


def _service(name: str, account: Account, now_s: float) -> dict[str, Any]:
    tick = account.latest
    told: dict[str, Any] = {
        "service": name,
        "namespace": account.namespace,
        "mode": account.policy.mode.value,
        "interval_s": account.policy.interval_s,
        "looked_s_ago": round(now_s - account.finished_s, 1) if account.finished_s is not None else None,
    }
    if tick is None:
        return {**told, "concerns": concerns(account)}
    return {
        **told,
        "concerns": concerns(account),
        "leads": tick.leads,
        "conditions": [
            {
                "type": condition.type,
                "holds": condition.holds,
                "reason": condition.reason,
                "message": blanked(condition.message),
            }
            for condition in conditions_of(tick)
        ],
        "troubles": [_trouble(trouble) for trouble in tick.troubles],
        "decision": blanked_in(record(tick.decision)) if tick.decision is not None else None,
    }


def _trouble(trouble: Trouble) -> dict[str, str]:
    return {"dependency": trouble.dependency.value, "subject": trouble.subject, "message": blanked(trouble.message)}
