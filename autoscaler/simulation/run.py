"""Let a controller drive a simulated service, as the daemon would."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from autoscaler.core.decide import decide
from autoscaler.core.policy import Role, ServicePolicy
from autoscaler.core.snapshot import Snapshot
from autoscaler.core.state import State
from autoscaler.simulation.config import ServiceConfig
from autoscaler.simulation.faults import Fault
from autoscaler.simulation.results import Results
from autoscaler.simulation.service import Service
from autoscaler.simulation.traces import Trace

Memory = dict[str, object]
Controller = Callable[[Snapshot, Memory, float], Mapping[Role, int]]
"""Replicas to have per role, from a snapshot, a memory that is its own, and the time in seconds."""
PolicyAt = Callable[[ServicePolicy, float], ServicePolicy]
"""A policy as it holds so many seconds after the load began."""

_INTERVAL_S = 15.0


def unchanging(policy: ServicePolicy, _elapsed_s: float) -> ServicePolicy:
    """The same at any time."""
    return policy


def run(
    controller: Controller | ServicePolicy,
    config: ServiceConfig,
    trace: Trace,
    *,
    seed: int = 0,
    interval_s: float | None = None,
    at: PolicyAt = unchanging,
    faults: tuple[Fault, ...] = (),
    tail_s: float = 600.0,
    reached: Callable[[float], None] = lambda _now_s: None,
) -> Results:
    """Play a whole trace under a controller.

    Args:
        controller: What decides; a scaling policy decides through `core.decide`, the switch included.
        config: The service.
        trace: Its requests.
        seed: Of everything random.
        interval_s: Time between decisions; None for the policy's own, 15 s for other controllers.
        at: What holds of a policy when, such as bounds by schedule.
        faults: What goes wrong.
        tail_s: How long after the trace's end requests may still finish.
        reached: Told the time of each decision, for who watches the run.

    Returns:
        The results; the run ends when every request is settled, at the earliest with the trace.
    """
    service = Service(config, trace, seed)
    for fault in faults:
        service.inject(fault)
    if isinstance(controller, ServicePolicy):
        act, own_interval_s = _decider(controller, at, config), controller.interval_s
    else:
        act, own_interval_s = _scaler(controller), _INTERVAL_S
    every_s = own_interval_s if interval_s is None else interval_s
    ticks = 0
    while not (service.settled and service.now_s >= trace.duration_s) and service.now_s < trace.duration_s + tail_s:
        service.advance_to(ticks * every_s)
        act(service)
        reached(service.now_s)
        ticks += 1
    return service.finish()


def _scaler(controller: Controller) -> Callable[[Service], None]:
    memory: Memory = {}

    def act(service: Service) -> None:
        for role, replicas in controller(service.snapshot(service.now_s), memory, service.now_s).items():
            service.scale(role, replicas)

    return act


def _decider(policy: ServicePolicy, at: PolicyAt, config: ServiceConfig) -> Callable[[Service], None]:
    open_from_tokens = config.disaggregate_from_tokens if math.isfinite(config.disaggregate_from_tokens) else 0.0
    state = State()

    def act(service: Service) -> None:
        nonlocal state
        decision, state = decide(at(policy, service.now_s), service.snapshot(service.now_s), state, service.now_s)
        for role, decided in decision.roles.items():
            service.scale(role, decided.desired)
        if decision.switch is not None and decision.switch.threshold_tokens is not None:
            service.set_disaggregation(decision.switch.threshold_tokens)
        elif decision.switch is not None and decision.switch.disaggregate is not None:
            service.set_disaggregation(open_from_tokens if decision.switch.disaggregate else math.inf)

    return act
