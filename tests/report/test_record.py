from __future__ import annotations

import json
import math
from dataclasses import replace

import yaml
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.policy import Role
from autoscaler.core.signals import Scope, Signal, SignalState
from autoscaler.report.record import decision_id, record, to_json, to_yaml
from tests.report.builders import decision, growing


def test_a_record_has_the_names_that_scripts_rely_on() -> None:
    rendered = record(decision())

    assert {"id", "service", "at", "mode", "roles", "signals", "undecided"} <= set(rendered)
    assert set(rendered["roles"]) == {"prefill", "decode"}
    assert {"current", "ready", "desired", "uncapped", "reason", "stages"} <= set(rendered["roles"]["prefill"])
    assert rendered["roles"]["prefill"]["stages"][0] == {
        "stage": "proposal",
        "before": 2,
        "after": 8,
        "reason": "prefill_backlog",
        "detail": "40 waiting must drain in 0.4 s",
        "numbers": {"need": 8.0},
    }
    assert rendered["signals"]["prefill"]["queue_depth"] == {
        "value": 40,
        "unit": "requests",
        "age_s": 3.0,
        "state": "value",
        "detail": "",
    }


def test_the_instant_is_rfc_3339_in_utc() -> None:
    assert record(decision())["at"] == "2023-11-14T22:13:20.250Z"


def test_a_decision_has_the_same_id_wherever_it_is_worked_out() -> None:
    assert record(decision())["id"] == decision_id(decision().service, decision().at_s) == "4b6d61350c34"


def test_no_two_ticks_and_no_two_services_share_an_id() -> None:
    ids = {decision_id(service, 1_700_000_000.0 + tick) for service in ("chat", "code") for tick in range(1000)}

    assert len(ids) == 2000


def test_an_absent_signal_is_null_and_says_why() -> None:
    rendered = record(decision())["signals"]["decode"]["running"]

    assert rendered["value"] is None
    assert rendered["detail"] == "no series matches"


def test_an_undecided_role_carries_its_reason() -> None:
    undecided = replace(decision(prefill=growing()), undecided={Role.DECODE: "deployment chat-decode does not exist"})

    assert record(undecided)["undecided"] == {"decode": "deployment chat-decode does not exist"}


@given(st.floats())
def test_no_float_makes_json_that_parsers_refuse(value: float) -> None:
    signal = Signal(value, "ratio", value, SignalState.VALUE)
    text = to_json([replace(decision(), signals={Scope.SERVICE: {"odd": signal}})])

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    parsed = json.loads(text, parse_constant=refuse)[0]["signals"]["service"]["odd"]["value"]
    assert parsed == (value if math.isfinite(value) else None)


def test_yaml_says_the_same_as_json() -> None:
    decisions = [decision("chat"), decision("code")]

    assert yaml.safe_load(to_yaml(decisions)) == json.loads(to_json(decisions))


def test_json_of_no_service_is_an_empty_list() -> None:
    assert json.loads(to_json([])) == []
