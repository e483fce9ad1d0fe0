"""The generated references are complete."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
import yaml

from autoscaler.cli.commands import COMMANDS
from autoscaler.cli.exits import ExitCode
from autoscaler.config.schema import json_schema
from autoscaler.core.decision import Reason, StageName
from autoscaler.daemon import conditions
from autoscaler.daemon.notices import Topic
from autoscaler.simulation.baselines.registry import BASELINES
from autoscaler.simulation.replay import STATIC_PEAK
from autoscaler.stacks.load import stack_names
from scripts.pages.guides import guide_pages
from scripts.pages.reasons import conditions_page, documented, reasons_page, texts
from tests.docs.markdown import ROOT, all_pages, written_pages

# From where a sentence speaks of our chart's values to its end; guides, which are generated, speak of stacks' charts.
_CHART_VALUES = re.compile(r"the chart's values?\s[^.]*(?:\.\w[^.]*)*")


def test_every_reason_is_documented_and_no_other() -> None:
    assert documented() == {reason.value for reason in Reason}


def test_every_stage_is_documented_in_order() -> None:
    page = reasons_page()

    places = [page.index(f"| `{stage.value}` |") for stage in StageName]
    assert places == sorted(places)


def test_every_reason_of_a_condition_is_documented() -> None:
    written = set(re.findall(r'reason="([A-Za-z]+)"', inspect.getsource(conditions)))
    told = {reason for about in texts()["conditions"].values() for reason in about["reasons"]}

    assert written <= told
    assert "## Effective" in conditions_page()


def test_every_event_is_documented_and_no_other() -> None:
    assert set(texts()["events"]) == {topic.value for topic in Topic}
    assert "| `ScaleConflict` |" in conditions_page()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_section(command: str) -> None:
    assert f"## `{command}`\n" in all_pages()["docs/reference/cli.md"]


def test_a_bar_in_code_stays_as_it_is_typed() -> None:
    """The site shows what stands in backticks as it is, backslashes too; outside of them a bar would end the cell."""
    page = all_pages()["docs/reference/cli.md"]

    assert "| `--policy`, `-p` `FILE|DIR` |" in page
    assert re.findall(r"`[^`\n]*\\\|[^`\n]*`", page) == []


def test_the_page_on_replay_names_everybody_to_play_against() -> None:
    sentence = all_pages()["docs/replay.md"].partition("`--against` adds")[2].partition("constant fleet.")[0]

    assert re.findall(r"`([a-z0-9-]+)`", sentence) == [*BASELINES, STATIC_PEAK]


def test_every_exit_code_has_a_row() -> None:
    section = all_pages()["docs/reference/cli.md"].partition("## Exit codes")[2].partition("\n## ")[0]

    assert re.findall(r"^\| `(\d+)` \|", section, re.MULTILINE) == [str(code.value) for code in sorted(ExitCode)]


def test_every_key_of_a_policy_has_a_row_with_a_meaning() -> None:
    page = all_pages()["docs/reference/policy.md"]
    schema = json_schema()
    for part in (schema, *schema["$defs"].values()):
        for key, value in part.get("properties", {}).items():
            assert value["description"]
            assert f"| `{key}` |" in page


def test_defaults_are_shown_as_a_user_would_write_them() -> None:
    page = all_pages()["docs/reference/policy.md"]

    assert "| `interval` | duration, such as `15s` | `15s` |" in page
    assert json.dumps({"type": "Pods", "value": 4, "periodSeconds": 15}) in page


@pytest.mark.parametrize("stack", stack_names())
def test_a_guide_holds_the_policy_of_its_stack(stack: str) -> None:
    guide = guide_pages()[stack]

    assert (ROOT / "policies" / f"{stack}.yaml").read_text().strip() in guide
    assert "## Signals" in guide


def test_the_navigation_names_every_page_and_no_other() -> None:
    text = re.sub(r"!!\S+", "", (ROOT / "mkdocs.yml").read_text())
    named = re.findall(r"[\w/-]+\.md", json.dumps(yaml.safe_load(text)["nav"]))
    guides = {f"guides/{name}.md" for name in guide_pages()}  # the hook adds them
    there = {path.removeprefix("docs/") for path in all_pages() if path.startswith("docs/")}

    assert sorted(named) == sorted(there - guides | {"contributing.md", "changelog.md"})


def test_every_value_of_the_chart_that_is_named_exists() -> None:
    chart = yaml.safe_load((ROOT / "deploy/helm/pd-autoscaler/values.yaml").read_text())
    sentences = {(page, found) for page, text in written_pages().items() for found in _CHART_VALUES.findall(text)}
    named = {(page, value) for page, sentence in sentences for value in re.findall(r"`([\w.]+)`", sentence)}

    assert named
    assert {(page, value) for page, value in named if not _has(chart, value)} == set()


def _has(values: dict[str, Any], path: str) -> bool:
    key, _, rest = path.partition(".")
    return key in values and (not rest or _has(values[key], rest))
