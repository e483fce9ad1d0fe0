"""The same queries on the same samples: ours and those of a real Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.sources.promql import SampleStore
from tests.sources.promql.cluster import END_S, START_S
from tests.sources.promql.comparison import answer_of_prometheus, answer_of_store, is_same
from tests.support.prometheus import Prometheus

QUERIES = Path(__file__).parent / "queries"

INSTANTS_S = (
    START_S + 1,  # a single sample
    START_S + 100,
    START_S + 207.5,  # decode-1 has restarted
    START_S + 350.001,  # prefill-1 is down
    START_S + 480.25,
    START_S + 505.999,  # decode-2 is gone
    START_S + 590,  # decode-3 is new
    START_S + 800,
    END_S + 30,  # no more scrapes
    END_S + 290,
)


def queries(name: str) -> list[str]:
    lines = (QUERIES / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("query", [*queries("vllm.promql"), *queries("forms.promql")])
def test_an_answer_is_that_of_prometheus(query: str, cluster_store: SampleStore, prometheus: Prometheus) -> None:
    for at_s in INSTANTS_S:
        ours = answer_of_store(query, cluster_store, at_s)
        theirs = answer_of_prometheus(query, prometheus, at_s)
        assert is_same(ours, theirs), f"at {at_s - START_S:g} s: ours {ours}, Prometheus {theirs}"


@pytest.mark.parametrize("query", queries("vllm.promql"))
def test_every_signal_of_the_cluster_has_a_value(query: str, cluster_store: SampleStore) -> None:
    assert answer_of_store(query, cluster_store, START_S + 480.25)
