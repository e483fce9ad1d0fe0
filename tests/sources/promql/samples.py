"""Stores with one hand-written series or a few, for table tests. Time 0 of a test is T0_S."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoscaler.sources.promql import Sample, SampleStore, ScrapedSample, evaluate
from tests.sources.promql.recording import Labels, metric

T0_S = 1_700_000_000


def store_of(series: Mapping[Labels, Sequence[float | None]], interval_s: float = 10) -> SampleStore:
    """A store with these values, the first at T0_S; None is a scrape without the series."""
    store = SampleStore(3600)
    for index in range(max(map(len, series.values()))):
        page = [
            ScrapedSample(labels, value)
            for labels, values in series.items()
            if index < len(values) and (value := values[index]) is not None
        ]
        store.append(T0_S + index * interval_s, {}, page)
    return store


def now_store(series: Mapping[str, Mapping[str, float]]) -> SampleStore:
    """A store with one sample a series at T0_S: by name and then by the value of the label `pod`."""
    return store_of({metric(name, pod=pod): [value] for name, pods in series.items() for pod, value in pods.items()})


def at(query: str, store: SampleStore, after_s: float = 0) -> list[Sample]:
    """The vector that a query answers so many seconds after T0_S."""
    answer = evaluate(query, store, T0_S + after_s)
    assert isinstance(answer, list)
    return answer


def value_at(query: str, store: SampleStore, after_s: float = 0) -> float:
    """The scalar, or the only value of a vector."""
    answer = evaluate(query, store, T0_S + after_s)
    if isinstance(answer, float):
        return answer
    (sample,) = answer
    return sample.value


def by_label(name: str, query: str, store: SampleStore, after_s: float = 0) -> dict[str, float]:
    """The values of a vector by the value of one label."""
    return {sample.labels.get(name, ""): sample.value for sample in at(query, store, after_s)}
