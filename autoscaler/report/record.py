"""The decision record as plain data: the stable JSON interface.

One object per service with `id`, `service`, `at` (RFC 3339, UTC), `mode`, `roles`, `undecided` and `signals`; below
that, the field names of the core dataclasses. What core adds appears by itself; no number is ever NaN or infinite.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

import yaml

from autoscaler.core.decision import Decision

Record = dict[str, Any]


def record(decision: Decision) -> Record:
    """Render one decision as plain data: dicts, lists, strings, finite numbers, booleans and None."""
    rendered: Record = {"id": decision_id(decision.service, decision.at_s)}
    for item in fields(decision):
        if item.name == "at_s":
            rendered["at"] = rfc3339(decision.at_s)
        else:
            rendered[item.name] = plain(getattr(decision, item.name))
    return rendered


def decision_id(service: str, at_s: float) -> str:
    """What one decision is called in log lines, Events, traces and records: the same wherever it is worked out.

    Args:
        service: Name of the service.
        at_s: Unix time of the decision; milliseconds count.
    """
    return blake2b(f"{service}@{at_s:.3f}".encode(), digest_size=6).hexdigest()


def to_json(decisions: Iterable[Decision], beside: Mapping[str, Record] = MappingProxyType({})) -> str:
    """Render decisions as a JSON list, two spaces a level, with a final newline.

    Args:
        decisions: The decisions.
        beside: Further keys of a service's record.
    """
    return json.dumps(_records(decisions, beside), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def to_yaml(decisions: Iterable[Decision], beside: Mapping[str, Record] = MappingProxyType({})) -> str:
    """Render decisions as a YAML list in the order of the JSON form; see `to_json`."""
    return yaml.safe_dump(_records(decisions, beside), sort_keys=False, allow_unicode=True)


def _records(decisions: Iterable[Decision], beside: Mapping[str, Record]) -> list[Record]:
    return [{**record(decision), **beside.get(decision.service, {})} for decision in decisions]


def rfc3339(at_s: float) -> str:
    """Format Unix seconds as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:
    """A record, or anything below one, as plain data: what is no finite number is None."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    number = float(value)
    return number if math.isfinite(number) else None
