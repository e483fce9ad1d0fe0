"""Scrapes of a small cluster, as a store takes them and as the samples that Prometheus would have written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autoscaler.sources.promql import SampleStore, ScrapedSample
from tests.support.prometheus import TimeSeries

Labels = tuple[tuple[str, str], ...]
Page = Mapping[Labels, float]


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape of a target: its page, None for a failure; `is_removal` says that the target is gone."""

    time_s: float
    target: Labels
    page: Page | None
    is_removal: bool = False


def metric(name: str, **labels: str) -> Labels:
    """The identity of a series."""
    return tuple(sorted({"__name__": name, **labels}.items()))


def filled_store(scrapes: Iterable[Scrape], retention_s: float = 3600) -> SampleStore:
    """A store that has seen these scrapes, in the order of their times."""
    store = SampleStore(retention_s)
    for scrape in sorted(scrapes, key=lambda scrape: scrape.time_s):
        target = dict(scrape.target)
        if scrape.is_removal:
            store.remove_target(scrape.time_s, target)
        elif scrape.page is None:
            store.append_failure(scrape.time_s, target)
        else:
            store.append(scrape.time_s, target, [ScrapedSample(*sample) for sample in scrape.page.items()])
    return store


def written_series(scrapes: Iterable[Scrape]) -> list[TimeSeries]:
    """What Prometheus writes for these scrapes, staleness markers included. No label may clash with a target's."""
    samples: defaultdict[Labels, list[tuple[float, float | None]]] = defaultdict(list)
    present: dict[Labels, Page] = {}
    for scrape in sorted(scrapes, key=lambda scrape: scrape.time_s):
        page = {} if scrape.page is None else scrape.page
        for series in present.get(scrape.target, {}).keys() - page.keys():
            samples[series + scrape.target].append((scrape.time_s, None))
        for series, value in page.items():
            samples[series + scrape.target].append((scrape.time_s, value))
        up = None if scrape.is_removal else float(scrape.page is not None)
        samples[metric("up") + scrape.target].append((scrape.time_s, up))
        present[scrape.target] = page
    return [TimeSeries(dict(labels), found) for labels, found in samples.items()]
