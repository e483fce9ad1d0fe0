from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoscaler.sources.promql import SampleStore
from tests.sources.promql.cluster import scrapes
from tests.sources.promql.recording import filled_store, written_series
from tests.support.prometheus import Prometheus, running_prometheus


@pytest.fixture(scope="session")
def prometheus() -> Iterator[Prometheus]:
    """A Prometheus that holds what it would have scraped from the cluster."""
    with running_prometheus() as server:
        server.write(written_series(scrapes()))
        yield server


@pytest.fixture(scope="session")
def cluster_store() -> SampleStore:
    """A store that has scraped the same cluster."""
    return filled_store(scrapes())
