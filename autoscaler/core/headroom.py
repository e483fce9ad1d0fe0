"""Headroom steered by the error budget: up fast after a burn, down slowly while the budget is whole.

No constant serves: in a fluid study on five day-long traces the one that the burstiest needs wastes 30 % on the
calmest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

LEAST, MOST = 1.0, 2.0
# Largest growth of the margin per second while the budget burns at ten times its rate or more.
_UP_PER_S = 0.002
# Time constant of giving margin back while nothing burns.
_DOWN_S = 4 * 3600.0
# Window over which a burn counts against the budget.
_BUDGET_S = 3 * 3600.0
_MOST_BURN = 10.0
# Share of the budget that is left to steer by when what cannot be avoided uses up most of it.
_LEAST_LEFT = 0.25
# Average burn below which a single burst is left to the budget: that is what a budget is for.
_BUDGET_WHOLE = 0.5
# Time constant of the share that misses although nobody waits.
_UNAVOIDABLE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Headroom:
    """Margin on demand of one role.

    Attributes:
        margin: Multiplier on demand; 1 is none.
        burn: Burn rate of the budget that unavoidable misses leave, averaged over its window: 1 uses it up exactly.
        at_s: Time of the last update.
        unavoidable_ratio: Share of requests that miss the objective although nobody waits: prompts too long for the
            target, which no number of replicas helps.
        spent_ratio: Burn rate of the whole budget over its window, whatever the reason of the misses; 1 at first, when
            nothing is known. A burst that missed for minutes takes hours to be paid off.
    """

    margin: float = LEAST
    burn: float = 0.0
    at_s: float | None = None
    unavoidable_ratio: float = 0.0
    spent_ratio: float = 1.0

    @property
    def unspent_ratio(self) -> float:
        """Share of the budget that has lately been left."""
        return max(1.0 - self.spent_ratio, 0.0)


def note_unavoidable(headroom: Headroom, missed_ratio: float, now: float) -> Headroom:
    """Learn what misses while nobody waits; to be called before `steer` in the same tick."""
    elapsed_s = min(max(now - headroom.at_s, 0.0), 60.0) if headroom.at_s is not None else 0.0
    keep = math.exp(-elapsed_s / _UNAVOIDABLE_S)
    return replace(headroom, unavoidable_ratio=missed_ratio + (headroom.unavoidable_ratio - missed_ratio) * keep)


def account(headroom: Headroom, missed_ratio: float, objective_ratio: float, elapsed_s: float) -> Headroom:
    """Charge the budget with what missed since the last tick, whoever's fault it was."""
    burn = max(missed_ratio, 0.0) / max(1.0 - objective_ratio, 1e-4)
    keep = math.exp(-min(max(elapsed_s, 0.0), 60.0) / _BUDGET_S)
    return replace(headroom, spent_ratio=burn + (headroom.spent_ratio - burn) * keep)


def steer(
    headroom: Headroom, attained_ratio: float | None, objective_ratio: float, now: float, *, answered: bool
) -> Headroom:
    """Update the margin from the attained share.

    Args:
        headroom: The margin so far.
        attained_ratio: Share of requests inside the objective over the signal's window, those that could not be helped
            counted as inside; None leaves the margin alone.
        objective_ratio: The share promised.
        now: Unix time.
        answered: Replicas are starting, or came a moment ago: the margin does not wind up.
    """
    elapsed_s = min(max(now - headroom.at_s, 0.0), 60.0) if headroom.at_s is not None else 0.0
    if attained_ratio is None:
        return replace(headroom, at_s=now)
    budget = max(1.0 - objective_ratio, 1e-4)
    burn = min(max(1.0 - attained_ratio, 0.0) / _left(budget, headroom.unavoidable_ratio), 1e4)
    average = burn + (headroom.burn - burn) * math.exp(-elapsed_s / _BUDGET_S)
    margin = headroom.margin
    if burn > 1.0 and average > _BUDGET_WHOLE and not answered:
        margin *= math.exp(_UP_PER_S * elapsed_s * min(burn, _MOST_BURN) / _MOST_BURN)
    elif burn <= 1.0:
        margin *= math.exp(-elapsed_s / _DOWN_S * max(1.0 - average, 0.0))
    return replace(headroom, margin=min(max(margin, LEAST), MOST), burn=average, at_s=now)


def _left(budget: float, unavoidable_ratio: float) -> float:
    """Share of requests that pools may let miss.

    What cannot be avoided comes off the budget. Where it exceeds the budget, no replicas keep the promise, and the
    further it does, the more of the budget is left again: a quarter of it for good would buy idle ones.
    """
    return min(max(abs(budget - unavoidable_ratio), _LEAST_LEFT * budget), budget)
