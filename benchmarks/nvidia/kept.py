"""Measurements on disk, each with what it was measured on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.nvidia import loads, scene, theirs

Row = Mapping[str, Any]


def write(name: str, rows: Sequence[Row]) -> None:
    """Keep a measurement as results/NAME.json."""
    about = {
        "versions": {**theirs.versions(), "python": platform.python_version()},
        "seed": loads.SEED,
        "cpus": os.cpu_count(),
    }
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    scene.RESULTS.mkdir(exist_ok=True)
    head = json.dumps(about, indent=1).removesuffix("\n}")
    (scene.RESULTS / f"{name}.json").write_text(f'{head},\n "rows": [\n{lines}\n ]\n}}\n')


def read(name: str) -> Mapping[str, Any]:
    """A measurement that was kept."""
    kept: dict[str, Any] = json.loads((scene.RESULTS / f"{name}.json").read_text())
    return kept
