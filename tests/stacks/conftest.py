from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.prometheus import Prometheus, running_prometheus


@pytest.fixture(scope="session")
def server() -> Iterator[Prometheus]:
    """An empty Prometheus; each stack writes under namespaces of its own."""
    with running_prometheus() as running:
        yield running
