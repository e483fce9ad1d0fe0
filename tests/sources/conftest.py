from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from autoscaler.core.signals import Signals
from tests.sources.chat import DECODE, ENGINES, PREFILL, fill, queries, read
from tests.support.prometheus import Prometheus, running_prometheus


@pytest.fixture(scope="session")
def server() -> Iterator[Prometheus]:
    """An empty Prometheus; each test writes under a namespace of its own."""
    with running_prometheus() as running:
        yield running


@pytest.fixture(scope="session")
def chat(server: Prometheus) -> Signals:
    """The service among strangers: another model in its namespace, and its model in another namespace."""
    fill(server, "chat", *ENGINES)
    fill(server, "chat", replace(PREFILL, pod="q-0"), replace(DECODE, pod="e-0"), model="qwen")
    fill(server, "chat-staging", *ENGINES)
    return read(server, queries("chat"))
