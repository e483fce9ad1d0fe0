"""Stack files that are damaged: clear errors, or a stack that can be asked about, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from autoscaler.cli.stacks import shown
from autoscaler.config.files import FileRefusedError, NamedFile, PolicyFiles, read_named
from autoscaler.core.policy import LatencyObjective, Objectives
from autoscaler.stacks.dialects import Stack
from autoscaler.stacks.errors import StackError
from autoscaler.stacks.load import read_stack
from autoscaler.stacks.placeholders import Matcher
from autoscaler.stacks.resolve import ServiceLabels, resolve
from autoscaler.targets.kubernetes.specs.problems import SpecError
from tests.fuzz.mutations import ODD, luck_of, mangled, mutated

SHIPPED = sorted(Path("autoscaler/stacks").glob("*.yaml"))
FILE = Path("mine.stack.yaml")
OBJECTIVES = Objectives(LatencyObjective(0.95, 2.0), LatencyObjective(0.9, 0.05), 0.95)


def used(content: bytes) -> bool:
    """Whether it is a stack that can be shown and asked about; if not, the words are checked."""
    try:
        stack = read_stack(NamedFile(FILE, content))
        ask_about(stack)
    except (StackError, SpecError) as error:
        text = str(error)
        assert text
        assert "pydantic" not in text
        assert "object at 0x" not in text
        return False
    return True


def ask_about(stack: Stack) -> None:
    resolve(stack, "chat", ServiceLabels(model="llama", selector=(Matcher("namespace", "ns"),)), OBJECTIVES)
    assert "\n".join(shown(stack, queries=True))


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_stack_file_is_refused_in_words_or_can_be_used(seed: int) -> None:
    luck, documents = luck_of(seed), [yaml.safe_load(file.read_text()) for file in SHIPPED]
    good = 0

    for _ in range(60):
        made = mutated(luck.choice(documents), luck, times=luck.choice([1, 1, 2, 5]))
        try:
            text = yaml.safe_dump(made, allow_unicode=True)
        except yaml.YAMLError:
            continue
        good += used(text.encode("utf-8", "surrogatepass"))

    assert good > 5


@pytest.mark.parametrize("seed", range(2))
def test_a_mangled_stack_file_is_refused_in_words_or_can_be_used(seed: int) -> None:
    luck, files = luck_of(seed), [file.read_bytes() for file in SHIPPED]

    for _ in range(60):
        used(mangled(luck.choice(files), luck))


@pytest.mark.parametrize("name", [odd for odd in ODD if isinstance(odd, str)])
@pytest.mark.parametrize("fenced", [True, False])
def test_any_name_of_a_file_is_refused_or_said_to_be_none(tmp_path: Path, name: str, *, fenced: bool) -> None:
    with suppress(FileRefusedError):
        assert read_named(PolicyFiles(tmp_path / "files", fenced=fenced).path(name)).trouble
