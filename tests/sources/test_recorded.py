from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.decision import Decision
from autoscaler.core.policy import Mode
from autoscaler.core.signals import Scope, Signal, Signals, SignalState, absent, measured
from autoscaler.report.record import record
from autoscaler.sources.recorded import RecordedSignals, RecordedSource, RecordError, read_records

AT_S = 1_760_000_000.0
SIGNALS: Signals = {
    Scope.DECODE: {
        "running": measured(40.0, "requests", 5.0, detail="a remark"),
        "waiting": absent("requests", "no series"),
        "kv_utilization_max": measured(0.5, "ratio", 90.0, stale_after_s=60.0),
    }
}


def line(signals: Signals, at_s: float = AT_S) -> str:
    return json.dumps(record(Decision("chat", at_s, Mode.RECOMMEND, {}, signals, {})))


def source(*lines: str) -> RecordedSource:
    return RecordedSource(read_records(lines), stale_after_s=60.0)


def test_a_record_gives_back_the_signals_of_its_decision() -> None:
    assert source(line(SIGNALS)).read(AT_S) == SIGNALS
    assert read_records([line(SIGNALS), "", " \n"]) == [RecordedSignals("chat", AT_S, SIGNALS)]


@given(st.floats(-1e12, 1e12), st.floats(0, 1e6), st.text(max_size=20))
def test_any_signal_survives_the_record(value: float, age_s: float, detail: str) -> None:
    signals = {Scope.SERVICE: {"ttft_s": measured(value, "s", age_s, detail=detail)}}

    assert read_records([line(signals)])[0].signals == signals


def test_the_newest_record_that_is_not_in_the_future_counts() -> None:
    earlier = {Scope.DECODE: {"running": measured(1.0, "requests", 0.0)}}
    later = {Scope.DECODE: {"running": measured(2.0, "requests", 0.0)}}
    recorded = source(line(later, AT_S + 15.0), line(earlier))

    assert [recorded.read(AT_S + at_s)[Scope.DECODE]["running"].value for at_s in (0.0, 14.9, 15.0, 20.0)] == [
        1,
        1,
        2,
        2,
    ]


def test_signals_grow_old_after_the_record() -> None:
    aged = source(line(SIGNALS)).read(AT_S + 60.0)[Scope.DECODE]

    assert (aged["running"].state, aged["running"].age_s) == (SignalState.STALE, 65.0)
    assert aged["running"].detail.endswith("allowed are 60 s; a remark")
    assert (aged["kv_utilization_max"].state, aged["kv_utilization_max"].age_s) == (SignalState.STALE, 150.0)
    assert aged["waiting"] == SIGNALS[Scope.DECODE]["waiting"]


def test_before_the_first_record_every_signal_is_absent() -> None:
    before = source(line(SIGNALS)).read(AT_S - 1.0)[Scope.DECODE]

    assert before["running"] == Signal(None, "requests", None, SignalState.ABSENT, "the record begins later")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"signals": {"decode": {"runnin": {}}}}, "line 2: signals.decode.runnin is no signal, did you mean running?"),
        ({"signals": {"decod": {}}}, "line 2 is no decision record (ValueError: 'decod' is not a valid Scope)"),
        ({"at": "yesterday"}, "line 2 is no decision record"),
        ({"signals": None}, "line 2 is no decision record"),
    ],
)
def test_a_wrong_record_is_refused_with_its_line(change: dict[str, object], words: str) -> None:
    wrong = json.dumps(json.loads(line(SIGNALS)) | change)

    with pytest.raises(RecordError) as caught:
        read_records([line(SIGNALS), wrong])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit": "s"}, "signals.decode.running is in 's', wanted is 'requests'"),
        ({"value": None}, "signals.decode.running has the state value but no value or age"),
    ],
)
def test_a_wrong_signal_is_refused_with_its_name(change: dict[str, object], words: str) -> None:
    document = json.loads(line(SIGNALS))
    document["signals"]["decode"]["running"] |= change

    with pytest.raises(RecordError) as caught:
        read_records([json.dumps(document)])
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "5", "{}"])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="line 1 is no decision record"):
        read_records([text])
