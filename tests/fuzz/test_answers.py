"""Answers of a Prometheus that has lost its mind: signals with a reason, or values that are numbers."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.fuzz.mutations import luck_of, mangled, mutated
from tests.sources.chat import NOW_S
from tests.sources.prometheus_server import all_of, elements, healthy, reading
from tests.support.loopback import Reply, Request, running_loopback


@pytest.mark.parametrize("seed", range(2))
def test_whatever_it_answers_each_signal_is_a_number_or_says_why_it_is_none(seed: int) -> None:
    luck = luck_of(seed)

    def damaged(request: Request) -> Reply:
        whole = {
            "status": "success",
            "data": {"resultType": "vector", "result": elements(request.form["query"])},
            "warnings": ["a store is down"],
        }
        made: Any = mutated(whole, luck, times=luck.choice([1, 1, 3, 20]))
        body = json.dumps(made).encode("utf-8", "replace")
        if luck.random() < 0.3:
            body = mangled(body, luck)
        return Reply(luck.choice([200, 200, 200, 422, 503]), body)

    with running_loopback(healthy) as server:
        server.answer = damaged
        for _ in range(150):
            with reading(server) as source:
                for signal in all_of(source.read(NOW_S)):
                    assert signal.detail or signal.value is not None
                    assert signal.usable is None or math.isfinite(signal.usable)
