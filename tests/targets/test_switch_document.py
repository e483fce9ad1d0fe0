"""The document of the switch: its examples pass, its tables are complete."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from autoscaler.daemon.stack_check import stack_problems
from autoscaler.stacks.load import load_stack, stack_names
from tests.config.builders import policy

DOCUMENT = (Path(__file__).parents[2] / "docs" / "switch.md").read_text(encoding="utf-8")
EXAMPLES = [
    yaml.safe_load(textwrap.dedent(block))["switch"]
    for block in re.findall(r"((?:^ {4}.*\n)+)", DOCUMENT, re.MULTILINE)
    if "switch:" in block
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("switch", EXAMPLES)
def test_an_example_fits_llm_d(switch: dict[str, object]) -> None:
    assert stack_problems(policy({"spec.stack": "llm-d", "spec.switch": switch})) == []


@pytest.mark.parametrize("stack", stack_names())
def test_every_stack_and_its_switches_are_in_the_document(stack: str) -> None:
    assert f"`{stack}`" in DOCUMENT
    for spec in load_stack(stack).facts.switch.specs:
        assert spec in {"none", "ome"} or f"`{spec}`" in DOCUMENT
