"""Signals as they were recorded with decisions, for replay: one JSON object a line, as `report.record` renders it."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from autoscaler.config.problems import nearest
from autoscaler.core.signals import CATALOGUE, Scope, Signal, Signals, SignalState, absent, measured


class RecordError(ValueError):
    """A line is no decision record; the message names line, place and value."""


@dataclass(frozen=True, slots=True)
class RecordedSignals:
    """The signals of one service at one instant.

    Attributes:
        service: Name of the service.
        at_s: Unix time of the decision.
        signals: As the decision saw them.
    """

    service: str
    at_s: float
    signals: Signals


def read_records(lines: Iterable[str]) -> list[RecordedSignals]:
    """Read decision records; empty lines do not count.

    Raises:
        RecordError: A line is no record.
    """
    records = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                records.append(_record(json.loads(line)))
            except RecordError as error:
                raise RecordError(f"line {number}: {error}") from None
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                reason = f"{type(error).__name__}: {error}"
                raise RecordError(f"line {number} is no decision record ({reason}): {line.strip()[:120]}") from None
    return records


class RecordedSource:
    """Gives the signals of the newest record that is not in the future. Implements `sources.base.Source`.

    Args:
        records: Of one service, in any order.
        stale_after_s: A signal whose newest sample is older at the time of a read may not be used.
    """

    def __init__(self, records: Iterable[RecordedSignals], stale_after_s: float) -> None:
        self._records = sorted(records, key=lambda record: record.at_s)
        self._stale_after_s = stale_after_s

    def read(self, now_s: float) -> Signals:
        """Read every recorded signal, as old as it is by now; see `Source.read`."""
        index = bisect_right(self._records, now_s, key=lambda record: record.at_s) - 1
        if index < 0:
            return self._nothing()
        record = self._records[index]
        since_s = now_s - record.at_s
        return {
            scope: {name: self._aged(signal, since_s) for name, signal in signals.items()}
            for scope, signals in record.signals.items()
        }

    def close(self) -> None:
        """Nothing to let go of."""

    def _nothing(self) -> Signals:
        known: Signals = self._records[0].signals if self._records else {}
        reason = "the record begins later"
        return {
            scope: {name: absent(signal.unit, reason) for name, signal in signals.items()}
            for scope, signals in known.items()
        }

    def _aged(self, signal: Signal, since_s: float) -> Signal:
        if signal.age_s is None:
            return signal
        age_s = signal.age_s + since_s
        if signal.state is SignalState.VALUE and signal.value is not None:
            return measured(signal.value, signal.unit, age_s, stale_after_s=self._stale_after_s, detail=signal.detail)
        return replace(signal, age_s=age_s)


def _record(document: Mapping[str, Any]) -> RecordedSignals:
    signals = {
        scope: {name: _signal(scope, name, fields) for name, fields in by_name.items()}
        for scope, by_name in ((Scope(key), value) for key, value in document["signals"].items())
    }
    return RecordedSignals(document["service"], datetime.fromisoformat(document["at"]).timestamp(), signals)


def _signal(scope: Scope, name: str, fields: Mapping[str, Any]) -> Signal:
    if name not in CATALOGUE[scope]:
        near = nearest(name, CATALOGUE[scope])
        raise RecordError(f"signals.{scope}.{name} is no signal" + (f", did you mean {near}?" if near else ""))
    unit = CATALOGUE[scope][name].unit
    if fields["unit"] != unit:
        raise RecordError(f"signals.{scope}.{name} is in {fields['unit']!r}, wanted is {unit!r}")
    state = SignalState(fields["state"])
    value, age_s = _number(fields["value"]), _number(fields["age_s"])
    if state is SignalState.VALUE and (value is None or age_s is None):
        raise RecordError(f"signals.{scope}.{name} has the state {state} but no value or age")
    return Signal(value, unit, age_s, state, str(fields["detail"]))


def _number(field: float | None) -> float | None:
    return None if field is None else float(field)
