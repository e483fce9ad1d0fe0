"""Labels and the values that they can take: closed lists, so that the number of series is known before they exist."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from autoscaler.core.attribution import Bottleneck
from autoscaler.core.decision import Reason, SwitchStep
from autoscaler.core.forecast import FORECASTERS
from autoscaler.core.policy import Mode, Role
from autoscaler.core.signals import CATALOGUE
from autoscaler.daemon.conditions import CONDITIONS
from autoscaler.daemon.tick import TIMED, Dependency
from autoscaler.daemon.webhook_reporter import Telling
from autoscaler.targets.base import Outcome


class Objective(StrEnum):
    """A latency that is promised."""

    TTFT = "ttft"
    TPOT = "tpot"


class TtftPart(StrEnum):
    """A part of the time to first token."""

    QUEUE = "queue"
    PREFILL = "prefill"
    TRANSFER = "transfer"
    FIRST_DECODE = "first_decode"


class Arrangement(StrEnum):
    """How a service can be served."""

    APART = "apart"
    TOGETHER = "together"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One label, or several that vary together, with every combination that can occur.

    Attributes:
        names: The labels.
        values: The combinations; one value per label each.
        meaning: What they say.
    """

    names: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    meaning: str


def _one(name: str, values: Iterable[str], meaning: str) -> Dimension:
    return Dimension((name,), tuple((str(value),) for value in values), meaning)


ROLE = _one("role", Role, "the pool")
REASON = _one("reason", Reason, "why, from the closed list of the decision record")
MODE = _one("mode", Mode, "how far decisions may go")
CONDITION = _one("condition", CONDITIONS, "a condition of the policy's status")
DEPENDENCY = _one("dependency", Dependency, "what the daemon depends on")
TIMED_DEPENDENCY = _one("dependency", TIMED, "what the daemon depends on, as far as a tick waits for it")
OUTCOME = _one("outcome", Outcome, "what became of a write")
OBJECTIVE = _one("objective", Objective, "the latency that is promised")
PART = _one("part", TtftPart, "a part of the time to first token")
BOTTLENECK = _one("bottleneck", Bottleneck, "what holds requests up")
STEP = _one("step", SwitchStep, "where a change of the switch stands")
ARRANGEMENT = _one("arrangement", Arrangement, "prefill and decode on separate pods, or on the same")
TELLING = _one("result", Telling, "what became of something that was to be told")
FORECASTER = _one("forecaster", FORECASTERS, "which forecaster")
SIGNAL = Dimension(
    ("scope", "signal"),
    tuple((scope.value, name) for scope, specs in CATALOGUE.items() for name in specs),
    "a canonical signal and what it belongs to",
)
