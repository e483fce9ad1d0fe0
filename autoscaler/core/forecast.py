"""Demand one lead time ahead, with the margin that its own past errors ask for.

Several simple forecasters run side by side (level, trend, daily and weekly season). Each is scored against what came:
a decayed histogram of log(actual / predicted) gives, per forecaster, the upper bound that demand stayed under for all
but a small share of the load. The forecaster whose bounds cost least speaks; one that errs needs wide bounds and so
loses its vote. Until an hour has told what they cost, the lowest bound speaks. This makes headroom a result of measured
burstiness and forecast error, not a constant. A trend may lift the bound, as far as trends that did so have lately come
true.
"""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from autoscaler.core import errors
from autoscaler.core.errors import Errors

# Time constants of the moving averages, in seconds.
_FASTEST_S, _FAST_S, _MIDDLE_S, _SLOW_S = 20.0, 60.0, 300.0, 900.0
# What bounds cost is a mean over so long and tells little before. That the lowest speaks until then is a choice by
# result: it is passed more often than it says, and smooth hours cost up to 8 % less with it for the same attainment.
_COST_S = 3600.0
# A trend beyond the bound counts as two in five of such trends have come true at most: noise and the top of a wave look
# like one. Counted as half of them have, a wave costs 3 % more for as much, and days up to 1.4 %.
_LIFT_SHARE = 0.4
# Errors of one direction of demand are half the samples: beyond this share of the load, or before there are so many,
# they tell too little.
_DIRECTION_SHARE, _DIRECTION_SAMPLES = 0.75, 25.0
# Levels of demand that stand for all that is likely.
_LEVELS = 16
# Predictions kept until their time comes.
_MOST_PENDING = 32
# What comes after a gap speaks for no more than the longest interval between ticks.
_MOST_ELAPSED_S = 600.0
# What a season keeps of what was known of a quarter of an hour, per second of it.
_SEASON_KEEPS = 0.95 ** (1 / 15.0)
_DAY_S, _WEEK_S = 86_400.0, 604_800.0
_SEASON_BIN_S = 900.0

FORECASTERS = ("level", "trend", "steep_trend", "slow_level", "damped_trend", "daily", "weekly")


@dataclass(frozen=True, slots=True)
class Track:
    """Record of one forecaster.

    Attributes:
        errors: Histogram of its errors.
        cost: Running mean of its upper bound; None before the first.
        rising: What of `errors` was said while demand rose; empty for half of it.
    """

    errors: Errors
    cost: float | None = None
    rising: Errors = ()

    def told_by(self, *, rises: bool, share: float) -> Errors:
        """The errors that a bound for so much of the load follows from: those of demand's direction, if smaller.

        On the crest of a wave a trend says too much, at its foot far too little; what it lacked there must not be added
        to what it says here. The other way round all errors count, for a direction alone knows less.
        """
        if share > _DIRECTION_SHARE:
            return self.errors
        same = self._rising if rises else tuple(map(operator.sub, self.errors, self._rising))
        if sum(same) < _DIRECTION_SAMPLES or errors.quantile(same, share) >= errors.quantile(self.errors, share):
            return self.errors
        return same

    def scored(self, predicted: float, actual: float, weight: float, *, rises: bool) -> Track:
        """With one more error, of a prediction that was made while demand rose or fell."""
        return replace(
            self,
            errors=errors.learn(self.errors, predicted, actual, weight),
            rising=errors.learn(self._rising, predicted, actual, weight if rises else 0.0),
        )

    @property
    def _rising(self) -> Errors:
        return self.rising or tuple(weight / 2 for weight in self.errors)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Memory of one demand series (in replicas of work).

    Attributes:
        at_s: Time of the last observation.
        since_s: Time of the first one, recorded history included.
        began_s: Time of the first one that the averages hold; None for long ago.
        fastest: Moving averages of the observed demand over 20, 60, 300 and 900 s.
        fast: See `fastest`.
        middle: See `fastest`.
        slow: See `fastest`.
        tracks: One record per forecaster.
        pending: Predictions whose time has not come: (due, one value per forecaster; NaN-free, -1 where it was silent).
        season: Mean demand per quarter of an hour of the week; -1 where none was seen.
        lifts: Histogram of the errors of trends beyond the bound; empty where nothing was kept of them.
        lifted: Such trends whose time has not come: (due, what the trend said).
    """

    at_s: float | None = None
    since_s: float | None = None
    began_s: float | None = None
    fastest: float = 0.0
    fast: float = 0.0
    middle: float = 0.0
    slow: float = 0.0
    tracks: tuple[Track, ...] = ()
    pending: tuple[tuple[float, tuple[float, ...]], ...] = ()
    season: tuple[float, ...] = ()
    lifts: tuple[float, ...] = ()
    lifted: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a forecast says.

    Attributes:
        demand: Demand expected at the horizon, in replicas of work.
        upper: Demand that should not be exceeded, given past errors.
        levels: Demands up to there that are equally likely, in ascending order.
        forecaster: Which forecaster spoke.
        horizon_s: How far ahead.
        lifted_by: Which one lifted the bound above the speaker's; None for nobody.
    """

    demand: float
    upper: float
    forecaster: str
    horizon_s: float
    levels: tuple[float, ...] = ()
    lifted_by: str | None = None


_SILENT = -1.0
_LEVEL, _SLOW_LEVEL = FORECASTERS.index("level"), FORECASTERS.index("slow_level")
_TRENDS = (FORECASTERS.index("trend"), FORECASTERS.index("steep_trend"))
_SEASON_BINS = int(_WEEK_S / _SEASON_BIN_S)
_SEASONS = ((FORECASTERS.index("daily"), _DAY_S), (FORECASTERS.index("weekly"), _WEEK_S))
_PERIODS_TRUSTED = 2


def observe(
    memory: Forecast, demand: float, now: float, horizon_s: float, excess_ratio: float
) -> tuple[Forecast, Outlook]:
    """Take one observation in and look ahead.

    Args:
        memory: What was known.
        demand: Observed demand, in replicas of work.
        now: Unix time.
        horizon_s: Lead time: how long until capacity ordered now serves.
        excess_ratio: Share of the load that may exceed the upper bound.
    """
    again, elapsed_s = memory.at_s == now, _elapsed_s(memory, now)
    if not memory.lifts:
        memory = replace(memory, lifts=errors.prior(horizon_s))
    if not again:
        memory = _score(_smooth(memory, demand, now, horizon_s), demand, now)
    predictions = _predict(memory, now, horizon_s)
    share, rises = 1.0 - excess_ratio, _rises(predictions)
    told_by = [track.told_by(rises=rises, share=share) for track in memory.tracks]
    uppers = [
        errors.at_share(known, value, share) if value >= 0 else _SILENT
        for value, known in zip(predictions, told_by, strict=True)
    ]
    if not again:
        memory = replace(
            memory, tracks=tuple(_charge(*each, elapsed_s) for each in zip(memory.tracks, uppers, strict=True))
        )
    young = memory.began_s is not None and now - memory.began_s < _COST_S
    spoken = [
        (uppers[index] if young else track.cost, index)
        for index, track in enumerate(memory.tracks)
        if uppers[index] >= 0 and track.cost is not None
    ]
    chosen = min(spoken)[1]
    trend, steepest = max((predictions[index], index) for index in _TRENDS)
    lift, lifter = _lift(memory, predictions, trend, steepest, now, horizon_s)
    if lift > uppers[chosen]:
        upper, lifted_by, levels = lift, FORECASTERS[lifter], [lift]
    else:
        upper, lifted_by, inside = max(uppers[chosen], 0.0), None, share / _LEVELS
        known, value = told_by[chosen], predictions[chosen]
        levels = [errors.at_share(known, value, (index + 0.5) * inside) for index in range(_LEVELS)]
    outlook = Outlook(predictions[chosen], upper, FORECASTERS[chosen], horizon_s, tuple(levels), lifted_by)
    beyond = trend if trend > uppers[chosen] else None
    return _remember(memory, predictions, now + horizon_s, horizon_s, beyond), outlook


def _rises(predictions: Sequence[float]) -> bool:
    """Whether demand was rising when these predictions were made."""
    return predictions[_LEVEL] > predictions[_SLOW_LEVEL]


def _lift(
    memory: Forecast, predictions: Sequence[float], trend: float, steepest: int, now: float, horizon_s: float
) -> tuple[float, int]:
    """The demand that must be expected however calm the past was, and the forecaster that says so."""
    # A ramp is seen by the trends first, but noise and the top of a wave look like one to them.
    lifts = [(errors.at_share(memory.lifts, trend, _LIFT_SHARE), steepest)]
    # A jump that comes at the same hour each day is expected as it was, however calm the hours before it. No higher:
    # after a gap in a day the next one seems to grow without limit there.
    for index, period_s in _SEASONS:
        if memory.since_s is not None and now - memory.since_s >= _PERIODS_TRUSTED * period_s:
            as_it_was = max(memory.middle, _season_at(memory, now + horizon_s - period_s))
            lifts.append((min(predictions[index], as_it_was), index))
    return max(lifts)


def _remember(
    memory: Forecast, predictions: tuple[float, ...], due_s: float, horizon_s: float, beyond: float | None
) -> Forecast:
    """Keep the predictions until they are due, and a trend that was beyond the bound."""
    if memory.pending and due_s - memory.pending[-1][0] < horizon_s / _MOST_PENDING:
        return memory
    lifted = memory.lifted if beyond is None else (*memory.lifted, (due_s, beyond))
    return replace(memory, pending=(*memory.pending, (due_s, predictions)), lifted=lifted)


def check_forecast(memory: Forecast) -> None:
    """Refuse a restored memory whose pieces do not belong together.

    Raises:
        ValueError: A record, a histogram, a prediction or the season has a wrong length.
    """
    lengths = {
        "tracks": (len(memory.tracks), len(FORECASTERS)),
        "season": (len(memory.season), _SEASON_BINS),
        "lifts": (len(memory.lifts) or errors.BINS, errors.BINS),
        **{f"tracks[{index}].errors": (len(track.errors), errors.BINS) for index, track in enumerate(memory.tracks)},
        **{
            f"tracks[{index}].rising": (len(track.rising) or errors.BINS, errors.BINS)
            for index, track in enumerate(memory.tracks)
        },
        **{f"pending[{index}]": (len(item[1]), len(FORECASTERS)) for index, item in enumerate(memory.pending)},
    }
    for name, (length, wanted) in lengths.items():
        if length != wanted and (memory.at_s is not None or length):
            raise ValueError(f"{name} has {length} entries, {wanted} are wanted")


def seed_season(memory: Forecast, history: Sequence[tuple[float, float]]) -> Forecast:
    """Fill what is not known of the season from recorded (time, demand) pairs, so that a restart does not forget it.

    A quarter of an hour of the week is the mean of what was recorded in the last week that has it.
    """
    season = list(memory.season or [_SILENT] * _SEASON_BINS)
    recorded: dict[int, list[tuple[float, float]]] = {}
    for at_s, demand in history:
        recorded.setdefault(int(at_s % _WEEK_S / _SEASON_BIN_S), []).append((at_s, demand))
    for index, samples in recorded.items():
        if season[index] < 0:
            newest_s = max(at_s for at_s, _ in samples)
            season[index] = statistics.fmean(demand for at_s, demand in samples if at_s > newest_s - _SEASON_BIN_S)
    first = min((at_s for at_s, _ in history), default=None)
    since_s = min((at_s for at_s in (memory.since_s, first) if at_s is not None), default=None)
    return replace(memory, season=tuple(season), since_s=since_s)


def _smooth(memory: Forecast, demand: float, now: float, horizon_s: float) -> Forecast:
    if memory.at_s is None:
        track = Track(errors.prior(horizon_s))
        return replace(
            memory,
            at_s=now,
            since_s=now if memory.since_s is None else min(memory.since_s, now),
            began_s=now,
            fastest=demand,
            fast=demand,
            middle=demand,
            slow=demand,
            tracks=(track,) * len(FORECASTERS),
            season=memory.season or (_SILENT,) * _SEASON_BINS,
        )
    elapsed = max(now - memory.at_s, 0.0)
    age = now - memory.began_s if memory.began_s is not None else math.inf
    season = list(memory.season)
    _learn_season(season, now, demand, _elapsed_s(memory, now))
    return replace(
        memory,
        at_s=max(now, memory.at_s),
        fastest=_average(memory.fastest, demand, elapsed, age, _FASTEST_S),
        fast=_average(memory.fast, demand, elapsed, age, _FAST_S),
        middle=_average(memory.middle, demand, elapsed, age, _MIDDLE_S),
        slow=_average(memory.slow, demand, elapsed, age, _SLOW_S),
        season=tuple(season),
    )


def _average(old: float, new: float, elapsed_s: float, age_s: float, constant_s: float) -> float:
    """Exponential average; until it is as old as its time constant, the plain mean of what was seen.

    The first value would else weigh most for a quarter of an hour, and it is taken while a service or a rate begins.
    """
    keep = math.exp(-elapsed_s / constant_s)
    if elapsed_s > 0 and math.isfinite(age_s):
        keep = min(keep, age_s / (age_s + elapsed_s))
    return new + (old - new) * keep


def _elapsed_s(memory: Forecast, now: float) -> float:
    """Time that what is seen now speaks for."""
    return 0.0 if memory.at_s is None else min(max(now - memory.at_s, 0.0), _MOST_ELAPSED_S)


def _learn_season(season: list[float], at_s: float, demand: float, elapsed_s: float) -> None:
    index = int(at_s % _WEEK_S / _SEASON_BIN_S)
    known = season[index] if season[index] >= 0 else demand
    season[index] = demand + (known - demand) * _SEASON_KEEPS**elapsed_s


def _score(memory: Forecast, demand: float, now: float) -> Forecast:
    due = [item for item in memory.pending if item[0] <= now]
    if not due:
        return memory
    due_s, values = due[-1]
    weight = (demand + errors.FLOOR) / (memory.slow + errors.FLOOR)
    rises = _rises(values)
    tracks = tuple(
        track.scored(value, demand, weight, rises=rises) if value >= 0 else track
        for track, value in zip(memory.tracks, values, strict=True)
    )
    lifts = memory.lifts
    for at_s, trend in memory.lifted:
        if at_s == due_s:
            lifts = errors.learn(lifts, trend, demand, weight)
    return replace(
        memory,
        tracks=tracks,
        pending=tuple(item for item in memory.pending if item[0] > now),
        lifts=lifts,
        lifted=tuple(item for item in memory.lifted if item[0] > now),
    )


def _charge(track: Track, upper: float, elapsed_s: float) -> Track:
    if upper < 0:
        return track
    if track.cost is None:
        return replace(track, cost=upper)
    return replace(track, cost=upper + (track.cost - upper) * math.exp(-elapsed_s / _COST_S))


def _predict(memory: Forecast, now: float, horizon_s: float) -> tuple[float, ...]:
    # A ramp lags in each average by its time constant, so the difference of two averages is the slope times that of
    # their constants.
    slope = (memory.fast - memory.slow) / (_SLOW_S - _FAST_S)
    steep_slope = (memory.fastest - memory.middle) / (_MIDDLE_S - _FASTEST_S)
    steep = max(memory.fastest + steep_slope * (_FASTEST_S + horizon_s), 0.0)
    trend = max(memory.fast + slope * (_FAST_S + horizon_s), 0.0)
    damped = max(memory.middle + 0.5 * slope * (_MIDDLE_S + horizon_s), 0.0)
    return (
        memory.fast,
        trend,
        steep,
        memory.slow,
        damped,
        _seasonal(memory, now, horizon_s, _DAY_S),
        _seasonal(memory, now, horizon_s, _WEEK_S),
    )


def _seasonal(memory: Forecast, now: float, horizon_s: float, period_s: float) -> float:
    """Present level times how demand moved over the same stretch one period ago."""
    if memory.since_s is None or now - memory.since_s < period_s:
        return _SILENT
    then, ahead = now - period_s, now + horizon_s - period_s
    base, later = _season_at(memory, then), _season_at(memory, ahead)
    if base < 0 or later < 0:
        return _SILENT
    return memory.middle * (later + errors.FLOOR) / (base + errors.FLOOR)


def _season_at(memory: Forecast, at_s: float) -> float:
    """Mean demand of that quarter of an hour of the week; negative where none was seen."""
    return memory.season[int(at_s % _WEEK_S / _SEASON_BIN_S)]
