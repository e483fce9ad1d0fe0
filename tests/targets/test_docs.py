"""The document of targets is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.targets.kubernetes.specs.load import spec_names
from autoscaler.targets.kubernetes.switches.load import switch_names

DOCUMENT = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*spec_names(), *switch_names()])
def test_every_target_and_switch_is_in_the_document(name: str) -> None:
    assert f"`{name}`" in DOCUMENT
