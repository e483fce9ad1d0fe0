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

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "stacks.md").read_text()
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.9, 0.05), 0.95)


def cells(pattern: str) -> set[str]:
    """What stands in code in the first cell of the rows of a table."""
    rows = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+)(?: \|)", TEXT, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row) if re.fullmatch(pattern, word)}


def test_every_stack_has_a_row() -> None:
    assert set(stack_names()) <= cells(r"[a-z0-9-]+")


def test_every_placeholder_is_explained() -> None:
    with pytest.raises(StackError) as caught:
        resolve(load_stack("vllm"), "chat", ServiceLabels(), OBJECTIVES, overrides={Scope.SERVICE: {"ttft_s": "$x"}})
    found = re.search(r"allowed: ([a-z_, ]+);", str(caught.value))
    assert found is not None
    of_pool = {"pool", "pool_any", "pool_target", "pool_namespace"}

    assert cells(r"\$[a-z_]+") == {f"${name}" for name in {*found[1].split(", "), *of_pool}}


def test_every_key_of_a_file_and_of_a_candidate_is_explained() -> None:
    described = TEXT[TEXT.index("## How a file works") :]

    identity = {"name", "title", "versions", "read", "explanation"}
    for key in (StackModel.model_fields.keys() | CandidateModel.model_fields.keys()) - identity:
        assert f"`{key}" in described, key


PROOF = TEXT[TEXT.index("## What proves it") :]
PROVEN = [line for line in PROOF.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("row", PROVEN, ids=lambda row: row.split("|")[1].strip())
def test_each_row_of_proofs_names_tests_that_are_there(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)

    assert named != []
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text()


def test_every_stack_is_proven() -> None:
    assert {name for row in PROVEN for name in re.findall(r"`([a-z0-9-]+)`", row.split("|")[1])} == set(stack_names())
    assert all((ROOT / file).exists() for file in re.findall(r"\(`(tests/[\w/]+\.py)`", PROOF))
