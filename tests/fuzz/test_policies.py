"""Policies that are damaged, or that the schema allows and nobody has written: clear errors, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from autoscaler.config.load import FileReport, parse
from autoscaler.config.schema import json_schema
from autoscaler.daemon.tenancy import Tenancy
from tests.fuzz.instances import Instances
from tests.fuzz.mutations import luck_of, mangled, mutated

SHIPPED = sorted(Path("policies").glob("*.yaml"))
FILE = Path("policy.yaml")


def clear(report: FileReport) -> FileReport:
    """A report whose every error could be read at night."""
    for error in report.errors:
        text = str(error)
        assert error.message
        assert text.startswith(str(FILE))
        assert len(text) < 4000
        assert "pydantic" not in text
        assert "Traceback" not in text
        assert "object at 0x" not in text
    assert report.policies or report.errors
    for loaded in report.policies:
        loaded.policy.core()
        list(Tenancy().problems(loaded))
    return report


def documents() -> Iterator[object]:
    for file in SHIPPED:
        yield from yaml.safe_load_all(file.read_text())


def test_there_is_something_to_damage() -> None:
    assert len(list(documents())) > 10


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_policy_is_refused_in_words_or_can_be_used(seed: int) -> None:
    luck, shipped = luck_of(seed), list(documents())
    used = 0

    for _ in range(300):
        made = mutated(luck.choice(shipped), luck, times=luck.choice([1, 1, 1, 2, 5]))
        try:
            text = yaml.safe_dump(made, allow_unicode=True)
        except yaml.YAMLError:
            continue
        used += bool(clear(parse(text.encode("utf-8", "surrogatepass"), FILE)).policies)

    assert used > 5


@pytest.mark.parametrize("seed", range(2))
def test_a_mangled_file_is_refused_in_words_or_can_be_used(seed: int) -> None:
    luck, files = luck_of(seed), [file.read_bytes() for file in SHIPPED]

    for _ in range(300):
        report = parse(mangled(luck.choice(files), luck), FILE)
        if report.errors or report.policies:
            clear(report)


@pytest.mark.parametrize("seed", range(2))
def test_what_the_schema_allows_is_used_or_refused_in_words(seed: int) -> None:
    luck = luck_of(seed)
    instances = Instances(json_schema(), luck)

    for _ in range(200):
        made = instances.make()
        made["metadata"] = {**made.get("metadata", {}), "name": "chat"}
        clear(parse(yaml.safe_dump(made).encode(), FILE))
