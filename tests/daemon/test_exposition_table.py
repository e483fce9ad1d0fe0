"""What the table promises of all metrics together: names, labels, bounds, the document."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from autoscaler.core.decision import Decision, Reason, SwitchDecision, SwitchStep
from autoscaler.core.policy import Mode, Role, ServicePolicy
from autoscaler.daemon.conditions import CONDITIONS, conditions_of
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.metrics.daemon_table import DAEMON_TABLE
from autoscaler.daemon.metrics.document import document
from autoscaler.daemon.metrics.page import MetricsPage
from autoscaler.daemon.metrics.samples import some
from autoscaler.daemon.metrics.table import TABLE, most_series
from autoscaler.daemon.tick import Dependency, Phase, Tick, Trouble
from autoscaler.targets.base import Outcome, WriteResult
from autoscaler.targets.switch import Position, SwitchReading
from tests.support import metrics
from tests.support.core import service_policy
from tests.support.story import story

POLICY = replace(service_policy(), budget_gpus=400.0)
ROOT = Path(__file__).parents[2]


def decisions() -> list[Decision]:
    """A quarter of an hour of a service with an engine model, a forecast that comes due, and a switch that moves."""
    told = story(policy=POLICY).at(900.0)
    moved = SwitchDecision(True, SwitchStep.ON, "apart is cheaper", 8.0, 12.0)
    return [replace(decision, switch=moved) for decision in [*told.decisions, told.decision]]


DECISIONS = decisions()


def tick_of(decision: Decision, service: str = "chat") -> Tick:
    troubles = tuple(Trouble(dependency, "service", "sick") for dependency in Dependency)
    writes = {role: WriteResult(Outcome.APPLIED, "") for role in decision.roles}
    pools = story(policy=POLICY).pods
    states = {role: pool.state(decision.at_s, 0.0) for role, pool in pools.items()}
    phases = (Phase("read signals", Dependency.SIGNALS, 0.0, 0.1),)
    shown = SwitchReading(Position.ON, 512.0, "")
    own = replace(decision, service=service)
    return Tick(service, decision.at_s, own, writes, troubles, pools=states, phases=phases, switch=shown)


def booked(policy: ServicePolicy = POLICY, *, services: tuple[str, ...] = ("chat",)) -> Ledger:
    ledger = Ledger()
    for service in services:
        ledger.open(replace(policy, service=service), 0.0, "serving")
        for decision in DECISIONS:
            ledger.book(tick_of(replace(decision, mode=policy.mode), service), decision.at_s, decision.at_s + 0.2)
    return ledger


def families(ledger: Ledger) -> list[Metric]:
    return metrics.families(MetricsPage(ledger))


def samples(ledger: Ledger) -> Iterator[Sample]:
    return (sample for family in families(ledger) for sample in family.samples)


def test_every_metric_of_the_table_is_exported_and_no_other() -> None:
    exported = {family.name for family in families(booked()) if family.samples}

    assert exported == {"pd_autoscaler", *(f"pd_autoscaler_{name}" for name in TABLE)}


def test_a_metric_that_is_not_in_the_table_cannot_be_exported() -> None:
    page = MetricsPage(booked(), lambda _account: some("undocumented", 1.0))

    with pytest.raises(KeyError, match="undocumented"):
        page.text(openmetrics=True)


def test_units_are_those_of_the_table() -> None:
    units = {family.name.removeprefix("pd_autoscaler_"): family.unit for family in families(booked())}

    assert {name: units[name] for name in TABLE} == {name: spec.unit for name, spec in TABLE.items()}


def test_promtool_has_nothing_to_say_against_the_names() -> None:
    page = MetricsPage(booked()).text(openmetrics=False).encode()

    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_labels_take_no_value_outside_of_the_table() -> None:
    allowed = {
        spec.series_name: {dimension.names: set(dimension.values) for dimension in spec.dimensions}
        for spec in TABLE.values()
    }
    for sample in samples(booked()):
        for names, values in allowed.get(sample.name, {}).items():
            assert tuple(sample.labels[name] for name in names) in values


def test_series_stay_below_the_bound_however_many_decisions_there_were() -> None:
    ledger = booked(services=("chat", "code", "mail"))
    everything = [(role, reason) for role in (Role.PREFILL, Role.DECODE) for reason in Reason]
    for account in ledger.accounts().values():
        account.decisions.update((role.value, reason.value) for role, reason in everything)
        account.writes.update((role.value, outcome.value) for role, _ in everything for outcome in Outcome)

    count = sum(1 for _ in samples(ledger))

    # A stack measures about as many signals as the catalogue names for the scopes that it has.
    assert 0.8 * most_series((2, 2, 2)) < count <= most_series((2, 2, 2))


def test_recommend_mode_exports_what_enforce_mode_does() -> None:
    def names(mode: Mode) -> set[tuple[str, frozenset[str]]]:
        return {
            (sample.name, frozenset(sample.labels.values())) for sample in samples(booked(replace(POLICY, mode=mode)))
        }

    assert names(Mode.RECOMMEND) == names(Mode.ENFORCE)


def test_a_policy_that_goes_takes_its_series_and_no_others() -> None:
    ledger = booked(services=("chat", "code"))

    ledger.forget("chat")

    assert {sample.labels.get("service") for sample in samples(ledger)} == {None, "code"}


def test_the_document_is_up_to_date() -> None:
    written = (ROOT / "docs" / "metrics.md").read_text()

    assert written == document(), "renew it: python -m autoscaler.daemon.metrics > docs/metrics.md"


def test_every_tick_settles_the_conditions_that_are_exported() -> None:
    assert tuple(condition.type for condition in conditions_of(tick_of(DECISIONS[-1]))) == CONDITIONS


def test_both_formats_say_the_same() -> None:
    page = MetricsPage(booked(services=("chat", "code")))

    plain = text_string_to_metric_families(page.text(openmetrics=False))

    in_text = {(sample.name, *sorted(sample.labels.items())): sample.value for one in plain for sample in one.samples}
    in_openmetrics = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for sample in samples(booked(services=("chat", "code")))
    }
    assert in_text == in_openmetrics


def test_names_of_services_are_escaped() -> None:
    ledger = Ledger()
    ledger.open(replace(POLICY, service='a "b" \\ c\nd'), 0.0, "serving")

    assert {sample.labels.get("service") for sample in samples(ledger)} == {None, 'a "b" \\ c\nd'}


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e-9, 1e21, 0.1])
def test_numbers_are_read_back_as_they_were(value: float) -> None:
    page = MetricsPage(booked(), lambda _account: some("peak_gpus", value))

    labels = {"namespace": "serving", "service": "chat"}
    assert metrics.series_value(page, "pd_autoscaler_peak_gpus", labels) == value


def test_helps_need_no_escaping() -> None:
    assert [name for name, spec in {**TABLE, **DAEMON_TABLE}.items() if set(spec.help) & set('\\\n"')] == []


def test_two_hundred_services_are_rendered_in_a_fraction_of_a_scrape_interval() -> None:
    page = MetricsPage(booked(services=tuple(f"chat-{number}" for number in range(200))))

    started_s = time.process_time()
    text = page.text(openmetrics=True)

    assert time.process_time() - started_s < 2.0  # prometheus_client's own encoder takes over 3 s
    assert text.count("\n") > 200 * 400
