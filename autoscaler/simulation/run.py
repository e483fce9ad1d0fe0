"""Let a controller drive a simulated service, as the daemon would."""

from __future__ import annotations

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


def controller_of(policy: ServicePolicy) -> Controller:
    """A controller that decides as the daemon does under this scaling policy."""

    def control(snapshot: Snapshot, memory: Memory, now_s: float) -> Mapping[Role, int]:
        state = memory.get("state", State())
        assert isinstance(state, State)  # noqa: S101 - only this function writes it
        decision, memory["state"] = decide(policy, snapshot, state, now_s)
        return {role: decided.desired for role, decided in decision.roles.items()}

    return control


def run(
    controller: Controller | ServicePolicy,
    config: ServiceConfig,
    trace: Trace,
    *,
    seed: int = 0,
    interval_s: float = 15.0,
    faults: tuple[Fault, ...] = (),
    tail_s: float = 600.0,
) -> Results:
    """Play a whole trace under a controller.

    Args:
        controller: What decides; a scaling policy decides through `core.decide`.
        config: The service.
        trace: Its requests.
        seed: Of everything random.
        interval_s: Time between decisions.
        faults: What goes wrong.
        tail_s: How long after the trace's end requests may still finish.

    Returns:
        The results; the run ends when every request is settled, at the earliest with the trace.
    """
    service = Service(config, trace, seed)
    for fault in faults:
        service.inject(fault)
    control = controller_of(controller) if isinstance(controller, ServicePolicy) else controller
    memory: Memory = {}
    ticks = 0
    while not (service.settled and service.now_s >= trace.duration_s) and service.now_s < trace.duration_s + tail_s:
        service.advance_to(ticks * interval_s)
        for role, replicas in control(service.snapshot(service.now_s), memory, service.now_s).items():
            service.scale(role, replicas)
        ticks += 1
    return service.finish()
