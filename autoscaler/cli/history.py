"""The history of a service in the user's own Prometheus, and a load made of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.config import ScalingPolicy
from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope
from autoscaler.daemon.prometheus import prometheus_connection
from autoscaler.daemon.queries import service_queries
from autoscaler.daemon.surroundings import AssemblyError
from autoscaler.simulation.traces.history import LengthHistory, LoadHistory, Reconstruction, reconstruct
from autoscaler.simulation.traces.trace import TraceError
from autoscaler.sources.history import Floats, Histogram, History, HistoryError, HistoryReader, Name
from autoscaler.sources.query_client import QueryClient
from autoscaler.stacks.errors import StackError

STEP_S = 120.0
"""As long as the window of the stacks' rates, so that the steps neither overlap nor leave gaps."""

_WORTH_SAYING_S = 600.0

LOAD: tuple[Name, ...] = (
    (Scope.SERVICE, "request_rate"),
    (Scope.SERVICE, "input_tokens_mean"),
    (Scope.SERVICE, "output_tokens_mean"),
    (Scope.PREFILL, "uncached_ratio"),
)


def read_history(
    policy: ScalingPolicy,
    url: str | None,
    since_s: float,
    wanted: Sequence[Name],
    *,
    until_s: float | None = None,
    reached: Callable[[float], None] = lambda _share: None,
) -> History:
    """Read the last `since_s` seconds of a service, as far as its load is known.

    Time in which nobody counted requests would be time without any in a replay, and time with GPUs all the same.

    Raises:
        CliError: No server is named, it cannot be asked, or it knows nothing of the service.
    """
    until_s = time.time() if until_s is None else until_s
    try:
        reader = HistoryReader(service_queries(policy), QueryClient(prometheus_connection(policy, url)))
    except (AssemblyError, StackError) as error:
        raise CliError(f"{policy.service}: {error}") from error
    try:
        history = reader.read(until_s - since_s, until_s, STEP_S, wanted, reached=reached)
    except HistoryError as error:
        raise CliError(str(error), ExitCode.UNHEALTHY) from error
    finally:
        reader.close()
    return _known_part(history)


def _known_part(history: History) -> History:
    """From the first to the last step with a request rate; the whole history where there is none."""
    known = np.flatnonzero(np.isfinite(history.signal(*LOAD[0])))
    if not known.size:
        return history
    part = slice(int(known[0]), int(known[-1]) + 1)

    def cut(lengths: Histogram | None) -> Histogram | None:
        return None if lengths is None else replace(lengths, rates=lengths.rates[part])

    return replace(
        history,
        at_s=history.at_s[part],
        signals={name: values[part] for name, values in history.signals.items()},
        asked_for={role: counts[part] for role, counts in history.asked_for.items()},
        ready={role: counts[part] for role, counts in history.ready.items()},
        inputs=cut(history.inputs),
        outputs=cut(history.outputs),
    )


def load_of(history: History, seed: int, name: str, *, asked_s: float = 0.0) -> Reconstruction:
    """Make requests of a history.

    Args:
        history: What is known.
        seed: Of everything random.
        name: What to call the load.
        asked_s: Seconds that were to be looked at; where less is known, a remark says so.

    Raises:
        CliError: It has none, or says nothing of their lengths.
    """
    load = LoadHistory(
        history.step_s,
        history.signal(Scope.SERVICE, "request_rate"),
        _lengths(history.inputs, history.signal(Scope.SERVICE, "input_tokens_mean")),
        _lengths(history.outputs, history.signal(Scope.SERVICE, "output_tokens_mean")),
        history.signal(Scope.PREFILL, "uncached_ratio"),
    )
    try:
        made = reconstruct(load, seed, name=name)
    except TraceError as error:
        raise CliError(_no_load(history, name) or str(error), ExitCode.UNHEALTHY) from error
    return replace(made, remarks=(*_shorter(history, asked_s), *made.remarks))


def _shorter(history: History, asked_s: float) -> Iterator[str]:
    known_s = history.at_s.size * history.step_s
    if asked_s - known_s > _WORTH_SAYING_S:
        begin, end = (
            datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M")
            for at_s in (history.start_s, float(history.at_s[-1]))
        )
        yield (
            f"The request rate is known from {begin} to {end} UTC only: {known_s / 3600:.3g} of the "
            f"{asked_s / 3600:.4g} h that were asked for are looked at."
        )


def _no_load(history: History, name: str) -> str:
    """Which signal a load lacks that was served, and why; empty where nothing was served."""
    rate, *lengths = LOAD[:3]
    rates = history.signal(*rate)
    needed = [rate] if np.isnan(rates).all() else lengths if np.nansum(rates) > 0 else []
    for wanted in needed:
        if wanted in history.why_absent and np.isnan(history.signal(*wanted)).all():
            what = wanted[1].replace("_", " ")
            return f"{name}: the {what} is not known at any time: {history.why_absent[wanted]}"
    return ""


def gpus_used(history: History, gpus_per_replica: Mapping[Role, float]) -> Floats:
    """GPUs asked for at each step; NaN where the count of any role is unknown."""
    unknown = np.full(history.at_s.size, np.nan)
    counts = [gpus * history.asked_for.get(role, unknown) for role, gpus in gpus_per_replica.items()]
    used: Floats = np.sum(counts, axis=0)
    return used


def _lengths(histogram: Histogram | None, means: Floats) -> LengthHistory:
    if histogram is None:
        return LengthHistory.of_means(means)
    return LengthHistory(means, histogram.bounds, histogram.rates)
