from __future__ import annotations

import re
from pathlib import Path

import pytest

from autoscaler.core.policy import LatencyObjective, Objectives
from autoscaler.core.signals import Scope
from autoscaler.stacks.candidates import CandidateModel
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.load import load_stack, stack_names
from autoscaler.stacks.model import StackModel
from autoscaler.stacks.resolve import ServiceLabels, resolve

TEXT = (Path(__file__).parents[2] / "docs" / "stacks.md").read_text()
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.9, 0.05), 0.95)


def cells(pattern: str) -> set[str]:
    """What stands in code in the first cell of the rows of a table."""
    rows = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+)(?: \|)", TEXT, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row) if re.fullmatch(pattern, word)}


def test_every_stack_has_a_row() -> None:
    assert set(stack_names()) <= cells(r"[a-z0-9-]+")


def test_every_placeholder_is_explained() -> None:
    with pytest.raises(StackError) as caught:
        resolve(load_stack("llm-d"), "chat", ServiceLabels(), OBJECTIVES, overrides={Scope.SERVICE: {"ttft_s": "$x"}})
    found = re.search(r"allowed: ([a-z_, ]+);", str(caught.value))
    assert found is not None
    of_pool = {"pool", "pool_any", "pool_target", "pool_namespace"}

    assert cells(r"\$[a-z_]+") == {f"${name}" for name in {*found[1].split(", "), *of_pool}}


def test_every_key_of_a_file_and_of_a_candidate_is_explained() -> None:
    described = TEXT[TEXT.index("## How a file works") :]

    identity = {"name", "title", "versions", "read", "explanation"}
    for key in (StackModel.model_fields.keys() | CandidateModel.model_fields.keys()) - identity:
        assert f"`{key}" in described, key
