from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler import __version__
from autoscaler.core.decision import Reason, SwitchDecision, SwitchStep
from autoscaler.core.policy import Mode, Role
from autoscaler.core.signals import Scope, Signal, SignalState, measured
from autoscaler.core.snapshot import PoolState
from autoscaler.core.state import State
from autoscaler.daemon.ledger import Ledger
from autoscaler.daemon.metrics.page import MetricsPage
from autoscaler.daemon.state_store import MemoryStateStore, StateUnreachableError
from autoscaler.targets.switch import Position, SwitchReading
from tests.daemon.builders import Bench, policy, role_policy, steady_signals
from tests.support.metrics import series_value


class Unreachable(MemoryStateStore):
    def load(self, service: str, now_s: float) -> State:  # noqa: ARG002 - of any
        raise StateUnreachableError("no answer within 5 s; nothing is scaled before the memory can be read")


class Stand:
    def __init__(self, mode: Mode = Mode.RECOMMEND) -> None:
        self.bench = Bench(policy(mode, prefill=role_policy(3)))
        self.ledger = Ledger()
        self.ledger.open(self.bench.policy, self.bench.now_s, "serving")
        self.page = MetricsPage(self.ledger, may_write=lambda _service: self.bench.may_write())

    def tick(self, took_s: float = 0.3) -> None:
        done = self.bench.tick()
        self.ledger.book(done, self.bench.now_s, self.bench.now_s + took_s)

    def value(self, name: str, **labels: str) -> float | None:
        return series_value(self.page, name, {"namespace": "serving", "service": "chat", **labels})


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_replica_counts_are_those_of_the_latest_decision(stand: Stand) -> None:
    stand.tick()

    assert stand.value("pd_autoscaler_desired_replicas", role="prefill") == 3
    assert stand.value("pd_autoscaler_current_replicas", role="prefill") == 2
    assert stand.value("pd_autoscaler_ready_replicas", role="prefill") == 2


def test_a_usable_signal_has_value_age_and_validity(stand: Stand) -> None:
    stand.tick()

    labels = {"scope": "decode", "signal": "kv_utilization_mean"}
    assert stand.value("pd_autoscaler_signal_value", **labels) == 0.8
    assert stand.value("pd_autoscaler_signal_age_seconds", **labels) == 1.0
    assert stand.value("pd_autoscaler_signal_valid", **labels) == 1.0


def test_a_stale_signal_has_age_but_no_value(stand: Stand) -> None:
    stale = Signal(0.8, "ratio", 90.0, SignalState.STALE, "newest sample is 90 s old")
    stand.bench.source.signals = {**steady_signals(), Scope.DECODE: {"kv_utilization_mean": stale}}
    stand.tick()

    labels = {"scope": "decode", "signal": "kv_utilization_mean"}
    assert stand.value("pd_autoscaler_signal_value", **labels) is None
    assert stand.value("pd_autoscaler_signal_age_seconds", **labels) == 90.0
    assert stand.value("pd_autoscaler_signal_valid", **labels) == 0.0


def test_decisions_are_counted_by_reason(stand: Stand) -> None:
    stand.tick()
    stand.tick()

    assert stand.value("pd_autoscaler_decisions_total", role="prefill", reason="at_min") == 2


def test_errors_are_counted_by_what_failed(stand: Stand) -> None:
    stand.bench.source.signals = {}
    stand.tick()

    assert stand.value("pd_autoscaler_errors_total", dependency="signals") == 2  # one a role


def test_tick_durations_make_a_cumulative_histogram(stand: Stand) -> None:
    stand.tick(took_s=0.3)
    stand.tick(took_s=100.0)

    name = "pd_autoscaler_tick_duration_seconds"
    assert stand.value(f"{name}_bucket", le="0.25") == 0
    assert stand.value(f"{name}_bucket", le="0.5") == 1
    assert stand.value(f"{name}_bucket", le="30.0") == 1
    assert stand.value(f"{name}_bucket", le="+Inf") == 2
    assert stand.value(f"{name}_count") == 2
    assert stand.value(f"{name}_sum") == pytest.approx(100.3)


def test_a_service_that_is_gone_leaves_no_series(stand: Stand) -> None:
    stand.tick()
    stand.ledger.forget("chat")

    assert "chat" not in stand.page.text(openmetrics=True)


def test_the_version_is_told_without_any_service() -> None:
    assert series_value(MetricsPage(Ledger()), "pd_autoscaler_info", {"version": __version__}) == 1.0


def test_a_failed_tick_keeps_the_counters_and_drops_the_gauges(stand: Stand) -> None:
    stand.tick()
    failed = replace(stand.bench.tick(), decision=None)
    stand.ledger.book(failed, stand.bench.now_s, stand.bench.now_s)

    assert stand.value("pd_autoscaler_desired_replicas", role="prefill") is None
    assert stand.value("pd_autoscaler_decisions_total", role="prefill", reason="at_min") == 1


def test_who_writes_is_shown(stand: Stand) -> None:
    stand.tick()
    assert stand.value("pd_autoscaler_leads") == 1.0

    stand.bench.may_write = lambda: False
    assert stand.value("pd_autoscaler_leads") == 0.0


def test_who_writes_is_shown_before_the_first_tick_and_between_two(stand: Stand) -> None:
    leads = [False]
    stand.bench.may_write = lambda: leads[0]
    assert stand.value("pd_autoscaler_leads") == 0.0
    stand.tick()

    leads[0] = True

    assert stand.value("pd_autoscaler_leads") == 1.0


def test_who_has_the_lease_and_cannot_read_the_memory_writes_nothing(stand: Stand) -> None:
    stand.bench.store = Unreachable()
    stand.bench.restart()
    stand.tick()

    assert stand.value("pd_autoscaler_leads") == 0.0


def test_writes_are_counted_by_what_became_of_them() -> None:
    stand = Stand(Mode.ENFORCE)
    stand.tick()

    assert stand.value("pd_autoscaler_writes_total", role="prefill", outcome="applied") == 1


def test_a_tick_says_on_what_it_waited(stand: Stand) -> None:
    stand.tick()

    name = "pd_autoscaler_dependency_duration_seconds_count"
    assert stand.value(name, dependency="signals") == 1
    assert stand.value(name, dependency="state") == 2  # recalled, kept
    assert stand.value(name, dependency="write") == 0


def test_replicas_that_find_no_node_are_shown(stand: Stand) -> None:
    pool = PoolState(4, 2, unschedulable=2, startup_times_s=(75.0, 400.0))
    stand.ledger.book(replace(stand.bench.tick(), pools={Role.PREFILL: pool}), 0.0, 0.1)

    assert stand.value("pd_autoscaler_unschedulable_replicas", role="prefill") == 2
    assert stand.value("pd_autoscaler_starting_replicas", role="prefill") == 2
    assert stand.value("pd_autoscaler_replica_startup_seconds_bucket", role="prefill", le="120.0") == 1
    assert stand.value("pd_autoscaler_replica_startup_seconds_sum", role="prefill") == 475.0


def test_the_binding_reason_is_one_of_all(stand: Stand) -> None:
    stand.tick()

    held = {reason: stand.value("pd_autoscaler_reason", role="prefill", reason=reason) for reason in Reason}
    assert [reason for reason, value in held.items() if value == 1.0] == [Reason.AT_MIN]
    assert set(held.values()) == {0.0, 1.0}


def test_a_burn_of_one_uses_the_error_budget_up_exactly(stand: Stand) -> None:
    missed = measured(0.90, "ratio", 1.0)
    stand.bench.source.signals = {**steady_signals(), Scope.SERVICE: {"ttft_attainment_ratio": missed}}
    stand.tick()

    assert stand.value("pd_autoscaler_attainment_ratio", objective="ttft") == 0.90
    assert stand.value("pd_autoscaler_error_budget_burn_ratio", objective="ttft") == pytest.approx(2.0)
    assert stand.value("pd_autoscaler_error_budget_burn_ratio", objective="tpot") is None


def test_the_peak_outlasts_the_need_that_made_it(stand: Stand) -> None:
    stand.tick()  # prefill wants 3, decode 2, of one GPU each
    stand.bench.policy = policy(Mode.RECOMMEND)
    stand.bench.restart()
    stand.tick()

    assert stand.value("pd_autoscaler_desired_gpus", role="prefill") == 2.0
    assert stand.value("pd_autoscaler_peak_gpus") == 5.0


def test_conditions_are_those_of_the_policy_status(stand: Stand) -> None:
    stand.tick()

    assert stand.value("pd_autoscaler_condition", condition="Effective") == 1.0
    assert stand.value("pd_autoscaler_condition", condition="Active") == 0.0  # recommend
    assert stand.value("pd_autoscaler_mode", mode="recommend") == 1.0


def test_the_switch_is_shown_only_where_a_policy_uses_it(stand: Stand) -> None:
    stand.tick()
    assert stand.value("pd_autoscaler_switch_disaggregated") is None

    done = stand.bench.tick()
    assert done.decision is not None
    moved = SwitchDecision(None, SwitchStep.CLOSING, "the stack has not confirmed yet", 24.0, 16.0)
    stand.ledger.book(replace(done, decision=replace(done.decision, switch=moved)), 0.0, 0.1)
    assert stand.value("pd_autoscaler_switch_disaggregated") == 0.0
    assert stand.value("pd_autoscaler_switch_step", step="closing") == 1.0
    assert stand.value("pd_autoscaler_switch_required_gpus", arrangement="together") == 16.0


def test_the_switch_is_where_the_stack_shows_it(stand: Stand) -> None:
    done = stand.bench.tick()
    assert done.decision is not None
    decided = SwitchDecision(None, SwitchStep.ON, "rests", 24.0, 16.0)
    shown = SwitchReading(Position.OFF, 512.0, "off at the router")
    stand.ledger.book(replace(done, decision=replace(done.decision, switch=decided), switch=shown), 0.0, 0.1)

    assert stand.value("pd_autoscaler_switch_disaggregated") == 0.0
    assert stand.value("pd_autoscaler_switch_threshold_tokens") == 512.0


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_the_latest_tick_is_dated_as_the_wall_clock_has_it_now(stand: Stand, jump_s: float) -> None:
    stand.page = MetricsPage(stand.ledger, wall_s=lambda at_s: at_s + jump_s)
    stand.tick()

    assert stand.value("pd_autoscaler_last_tick_timestamp_seconds") == stand.bench.now_s + jump_s


def test_what_happens_rarely_is_counted_from_zero_so_that_the_first_time_shows(stand: Stand) -> None:
    assert stand.value("pd_autoscaler_writes_total", role="prefill", outcome="conflict") == 0.0
    assert stand.value("pd_autoscaler_errors_total", dependency="lease") == 0.0


def test_a_first_tick_that_never_ends_grows_as_old_as_the_service(stand: Stand) -> None:
    taken_on_s = stand.bench.now_s

    assert stand.value("pd_autoscaler_last_tick_timestamp_seconds") == taken_on_s
    stand.tick()
    assert stand.value("pd_autoscaler_last_tick_timestamp_seconds") == taken_on_s + 15.0
