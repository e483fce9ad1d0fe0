"""The dashboards as files: made of code, complete, without ties to one installation, legible to everybody."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from autoscaler.daemon.metrics.daemon_table import DAEMON_TABLE
from autoscaler.daemon.metrics.table import INFO, TABLE
from dashboards.generator import palette
from dashboards.generator.files import files
from dashboards.generator.frame import DOCS_URL
from tests.dashboards.panels import DASHBOARDS, load, panels, queries

OURS = ("fleet.json", "service.json", "health.json")
ALL = sorted(
    str(path.relative_to(DASHBOARDS)) for path in (*DASHBOARDS.glob("*.json"), *DASHBOARDS.glob("stacks/*.json"))
)
FILLED = {"namespace": "demo", "service": "llama-70b", "window": "300"}


def test_the_committed_files_are_what_the_code_makes() -> None:
    made = files()

    assert {path: path.read_text() for path in made} == made, "renew them: python -m dashboards.generator"
    assert sorted(str(path.relative_to(DASHBOARDS)) for path in made) == ALL


@pytest.mark.parametrize("file", ALL)
def test_every_panel_has_a_title_a_unit_a_description_and_a_query(file: str) -> None:
    dashboard = load(file)

    assert len({panel["title"] for panel in panels(dashboard)}) == len(panels(dashboard)) > 5
    for panel in panels(dashboard):
        assert panel["title"].endswith("?") or len(panel["title"].split()) > 2, "a question, or a fact"
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["targets"]


@pytest.mark.parametrize("file", ALL)
def test_nothing_names_a_data_source_of_one_installation(file: str) -> None:
    def sources(value: Any) -> list[Any]:
        if isinstance(value, list):
            return [found for item in value for found in sources(item)]
        if not isinstance(value, dict):
            return []
        own = [value["datasource"]] if "datasource" in value else []
        return own + [found for item in value.values() for found in sources(item)]

    assert {json.dumps(source) for source in sources(load(file))} == {'{"type": "prometheus", "uid": "${datasource}"}'}


@pytest.mark.parametrize("file", ALL)
def test_data_source_namespace_and_service_are_chosen(file: str) -> None:
    names = [variable["name"] for variable in load(file)["templating"]["list"] if not variable.get("hide")]

    assert names == ["datasource", "namespace", "service"]


@pytest.mark.parametrize("file", ALL)
def test_dashboards_link_to_each_other_and_to_a_runbook_that_there_is(file: str) -> None:
    urls = {link["title"]: link["url"] for link in load(file)["links"]}
    known = {f"/d/{load(other)['uid']}" for other in OURS}

    runbook = urls.pop("Runbook").removeprefix(DOCS_URL)
    assert (DASHBOARDS.parent / "docs" / runbook.lstrip("/")).is_file()
    assert set(urls.values()) == known - {f"/d/{load(file)['uid']}"}


def test_no_two_dashboards_have_the_same_uid() -> None:
    uids = [load(file)["uid"] for file in ALL]

    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40, "Grafana's limit"


@pytest.mark.parametrize("file", ALL)
def test_colours_can_be_told_apart_by_everybody(file: str) -> None:
    text = (DASHBOARDS / file).read_text()
    modes = re.findall(r'"color": \{[^}]*"mode": "([\w-]+)"', text)

    assert set(re.findall(r"#[0-9A-Fa-f]{6}", text)) <= set(palette.SERIES)
    assert set(modes) <= {"fixed", "shades", "thresholds"}


@pytest.mark.parametrize("file", ALL)
def test_series_of_one_panel_differ_in_colour_or_dash(file: str) -> None:
    looks: dict[str, list[Any]] = {}
    for query in queries(load(file)):
        if not query.instant and query.color is not None:
            looks.setdefault(query.panel, []).append((query.color, query.dashed))
    for panel, found in looks.items():
        bounds = (palette.LIMIT, True)
        distinct = [look for look in found if look != bounds]
        assert len(set(distinct)) == len(distinct), panel


@pytest.mark.parametrize("file", ALL)
def test_prometheus_can_parse_every_query(file: str) -> None:
    for query in queries(load(file)):
        promql_parser.parse(query.filled(FILLED))


@pytest.mark.parametrize("file", OURS)
def test_queries_ask_for_metrics_that_there_are(file: str) -> None:
    specs = (*TABLE.values(), *DAEMON_TABLE.values())
    known = {INFO} | {spec.series_name + end for spec in specs for end in ("", "_bucket", "_sum", "_count")}
    for query in queries(load(file)):
        assert set(re.findall(r"pd_autoscaler_\w+", query.expr)) <= known


def test_the_runbooks_name_panels_that_there_are() -> None:
    titles = {panel["title"] for file in OURS for panel in panels(load(file))}
    runbooks = Path(DASHBOARDS.parent / "docs" / "runbooks")
    for path in sorted(runbooks.glob("*.md")):
        named = re.findall(r"\*([A-Z][^*]*\?)\*", path.read_text().replace("\n   ", " ").replace("\n", " "))
        assert set(named) <= titles, path.name
