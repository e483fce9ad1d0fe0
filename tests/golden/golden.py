"""What the default policy decides in an hour of each trace, as text that a reviewer can read as a diff.

`python -m tests.golden.golden` (or `make golden`) writes `decisions/*.txt` again.
"""

from __future__ import annotations

from collections.abc import Iterator

from autoscaler.config.behavior import Behavior
from autoscaler.core.decide import decide
from autoscaler.core.decision import Reason, RoleDecision
from autoscaler.core.engines import find_engine
from autoscaler.core.policy import LatencyObjective, Mode, Objectives, Role, RolePolicy, ServicePolicy
from autoscaler.core.state import State
from autoscaler.report.words import binding_stage
from autoscaler.simulation.config import PoolConfig, ServiceConfig
from autoscaler.simulation.results import Results
from autoscaler.simulation.service import Service
from tests.golden.hours import HERE, HOURS, Hour

DECISIONS = HERE / "decisions"
ROLES = (Role.PREFILL, Role.DECODE)
MODEL = find_engine("llama-3.1-70b", "h100", 4)[1]
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.95, 0.05), attainment_ratio=0.99)
STARTUP_S, GPUS, MOST = 240.0, 4.0, 24
TAIL_S = 600.0


def policy() -> ServicePolicy:
    """Objectives, bounds, startup time and engine; all else as a user gets it who tunes nothing."""
    pool = RolePolicy(1, MOST, GPUS, STARTUP_S, Behavior().core(), engine=MODEL)
    return ServicePolicy("golden", Mode.ENFORCE, OBJECTIVES, dict.fromkeys(ROLES, pool))


def text_of(hour: Hour) -> str:
    """The decisions of an hour: a line where a number, or its reason, is another one than before."""
    trace = hour.trace()
    replicas = {Role.PREFILL: hour.prefill, Role.DECODE: hour.decode}
    pools = {role: PoolConfig(MODEL, count, GPUS, STARTUP_S) for role, count in replicas.items()}
    service = Service(ServiceConfig("golden", pools, OBJECTIVES), trace, seed=0)
    lines = list(_lines(service, trace.duration_s))
    head = f"# {hour.name} x{hour.copies:g} from hour {hour.from_hour:g}, {len(trace)} requests"
    return "\n".join([head, *_summary(service.finish()), _row("time", *ROLES), *lines, ""])


def _lines(service: Service, duration_s: float) -> Iterator[str]:
    asked_for, state, told = policy(), State(), None
    while service.now_s < duration_s + TAIL_S and not (service.settled and service.now_s >= duration_s):
        service.advance_to(service.now_s + asked_for.interval_s)
        decision, state = decide(asked_for, service.snapshot(service.now_s), state, service.now_s)
        for role, decided in decision.roles.items():
            service.scale(role, decided.desired)
        news = [_news(decision.roles[role]) for role in ROLES]
        if news != told:
            minutes, seconds = divmod(round(service.now_s), 60)
            yield _row(f"{minutes:02d}:{seconds:02d}", *(_cell(decision.roles[role]) for role in ROLES))
        told = news


def _news(decided: RoleDecision) -> tuple[int, int, Reason]:
    """What is worth a line where it changes."""
    return decided.current, decided.desired, binding_stage(decided).reason


def _cell(decided: RoleDecision) -> str:
    """The number, what it was before, and the stage and reason that made it; the proposal where that is another one."""
    stage = binding_stage(decided)
    change = f"{decided.current} > {decided.desired}" if decided.changed else f"{decided.current}"
    wanted = f" (of {decided.uncapped})" if decided.uncapped != decided.desired else ""
    return f"{change}{wanted} {stage.stage.value}: {stage.reason.value}"


def _row(time: str, prefill: str, decode: str) -> str:
    return f"{time:<7}{prefill:<52}{decode}".rstrip()


def _summary(results: Results) -> list[str]:
    ttft, tpot = results.ttft_s[95], results.tpot_s[95]
    return [
        f"# attained {results.attainment_ratio:.1%}, p95 TTFT {ttft:.2f} s, p95 TPOT {tpot * 1e3:.0f} ms",
        f"# {results.gpu_hours:.1f} GPU-hours, {len(results.actions)} changes, {results.reversals} reversals",
    ]


def main() -> None:
    """Write all decisions."""
    DECISIONS.mkdir(exist_ok=True)
    for hour in HOURS:
        (DECISIONS / f"{hour.name}.txt").write_text(text_of(hour))


if __name__ == "__main__":
    main()
