"""Status pages of made-up services, names of any length included."""

from __future__ import annotations

from dataclasses import replace

from autoscaler.core.attribution import Attribution, Bottleneck
from autoscaler.core.decision import Evidence, SwitchDecision, SwitchStep
from autoscaler.core.policy import Mode, Role
from autoscaler.core.signals import CATALOGUE, Scope, absent, measured
from autoscaler.daemon.ledger import Account
from autoscaler.daemon.recent import Recent
from autoscaler.daemon.status_page import status_page
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from tests.daemon.builders import START_S, policy
from tests.report.builders import decision

LONG = "a-service-with-a-name-that-somebody-made-up-by-joining-everything-they-knew-about-it" * 2
HOSTILE = "<img src=x onerror=console.error(1)>"


def one_status() -> str:
    recent = Recent()
    for place in range(240):
        recent.report(_tick("chat", START_S + 15.0 * place))
    trouble = Trouble(Dependency.SIGNALS, "decode", f"Prometheus at http://prom:9090 said {HOSTILE} {'x' * 200}")
    latest = replace(_tick("chat", START_S + 3600.0), troubles=(trouble,))
    return status_page({"chat": _account(latest)}, ["the scaling policies could not be listed"], recent.of, START_S)


def fleet_status() -> str:
    names = [*(f"llama-{place}" for place in range(30)), LONG, HOSTILE]
    return status_page({name: _account(_tick(name, START_S)) for name in names}, [], Recent().of, START_S)


def _account(tick: Tick) -> Account:
    return Account(policy(Mode.ENFORCE, service=tick.service), "serving", START_S, tick, finished_s=tick.at_s)


def _tick(service: str, at_s: float) -> Tick:
    made = decision(service)
    signals = {
        scope: {
            name: measured(0.42, spec.unit, 3.0) if place % 3 else absent(spec.unit, f"no series match {name}{{…}}")
            for place, (name, spec) in enumerate(CATALOGUE[scope].items())
        }
        for scope in (Scope.PREFILL, Scope.DECODE, Scope.SERVICE)
    }
    signals[Scope.SERVICE]["ttft_s"] = measured(0.4 + (at_s % 600) / 1000, "s", 3.0)
    evidence = Evidence(180.0, "table llama-3.1-70b h100 tp4", 0.8, 4.2, 12_000.0, 4.8, 5.4, "holt_winters", 180.0, 1.1)
    roles = {role: replace(decided, evidence=evidence) for role, decided in made.roles.items()}
    switch = SwitchDecision(None, SwitchStep.ON, "apart is cheaper by 22 %", 36.0, 46.0)
    found = Attribution(0.1, 0.3, 0.05, 0.02, Bottleneck.PREFILL, "prefill queue of 40 requests")
    told = replace(made, at_s=at_s, signals=signals, roles=roles, switch=switch, attribution=found)
    assert set(roles) == {Role.PREFILL, Role.DECODE}
    return Tick(service, at_s, told)
