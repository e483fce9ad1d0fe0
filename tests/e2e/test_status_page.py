"""The status page of the real program: who is served it, and what it says."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeLive
from tests.e2e.gate import Gate
from tests.e2e.program import Start, arguments_for
from tests.support.prometheus import wait_until


def test_on_loopback_it_says_what_was_decided_and_why(
    make_live: MakeLive, gate: Gate, start: Start, tmp_path: Path
) -> None:
    live = make_live()
    program = start(*arguments_for(live, tmp_path, gate.url))
    program.wait_for("started")
    wait_until(lambda: program.ticks() > 0, "a tick")

    page, data = program.get("/"), json.loads(program.get(f"/status.json?service={live.name}"))

    (service,) = data["services"]
    assert service["service"] == live.name
    assert service["leads"]
    assert service["decision"]["roles"].keys() == {"prefill", "decode"}
    assert f"<h2>{live.name}</h2>" in page
    assert "Every step from proposal to number" in page


@pytest.mark.parametrize("wanted", [False, True])
def test_beyond_loopback_it_is_served_when_asked_for(
    make_live: MakeLive, gate: Gate, start: Start, tmp_path: Path, wanted: bool
) -> None:
    asked = ["--status-page"] if wanted else []
    program = start(*arguments_for(make_live(), tmp_path, gate.url), "--listen", "0.0.0.0:0", *asked)

    if wanted:
        assert program.get("/").startswith("<!doctype html>")
    else:
        with pytest.raises(urllib.error.HTTPError) as refused:
            program.get("/")
        assert refused.value.code == 404
        refused.value.close()
