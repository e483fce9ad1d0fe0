"""Workflows, templates and hooks, against their published schemas and against the project."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [file for file in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if file.name != "config.yml"]
# Of a released version or of a commit; never a branch.
PINNED = re.compile(r"@(v\d+\.\d+\.\d+|[0-9a-f]{40})$")
REGISTRY = re.compile(r"\b(?:ghcr\.io|quay\.io|docker\.io|pypi\.org|registry\.[\w.-]+|[\w-]+\.azurecr\.io)\b")


def by_name(file: Path) -> str:
    return file.name


def workflow(file: Path) -> dict[str, Any]:
    """A YAML file; PyYAML takes the key `on` for true, as YAML 1.1 has it."""
    read: dict[Any, Any] = yaml.safe_load(file.read_text())
    return {"on" if key is True else key: value for key, value in read.items()}


def published_schema(name: str) -> dict[str, Any]:
    """A schema that check-jsonschema brings, without importing the program."""
    package = find_spec("check_jsonschema")
    assert package is not None
    assert package.origin is not None
    schema: dict[str, Any] = json.loads(
        (Path(package.origin).parent / f"builtin_schemas/vendor/{name}.json").read_text(encoding="utf-8")
    )
    return schema


def steps(file: Path) -> Iterator[dict[str, Any]]:
    for job in workflow(file)["jobs"].values():
        yield from job["steps"]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE/config.yml"]),
        ("dependabot", [GITHUB / "dependabot.yml"]),
    ],
)
def test_files_fit_the_published_schema(schema: str, files: list[Path]) -> None:
    validator = validator_for(published_schema(schema))(published_schema(schema))

    for file in files:
        assert [error.message for error in validator.iter_errors(workflow(file))] == []


def test_a_workflow_with_a_misspelt_key_does_not_fit() -> None:
    validator = validator_for(published_schema("github-workflows"))(published_schema("github-workflows"))
    wrong = {**workflow(WORKFLOWS[0]), "job": {}}

    assert not validator.is_valid(wrong)


@pytest.mark.parametrize("file", WORKFLOWS, ids=by_name)
def test_actions_are_pinned(file: Path) -> None:
    for step in steps(file):
        assert "uses" not in step or PINNED.search(step["uses"]), step["uses"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=by_name)
def test_jobs_end_and_have_no_more_rights_than_they_name(file: Path) -> None:
    read = workflow(file)

    assert "permissions" in read
    assert all("timeout-minutes" in job for job in read["jobs"].values())


@pytest.mark.parametrize("file", WORKFLOWS, ids=by_name)
def test_workflows_run_the_projects_own_targets(file: Path) -> None:
    called = [
        word
        for step in steps(file)
        for line in step.get("run", "").splitlines()
        if line.startswith("make ")
        for word in line.split()[1:2]
    ]

    assert called
    assert set(called) <= make_targets()


def test_a_release_is_of_its_tag_and_of_two_platforms() -> None:
    text = (GITHUB / "workflows/release.yml").read_text()

    assert 'make release TAG="$GITHUB_REF_NAME"' in text
    assert "PLATFORMS=linux/amd64,linux/arm64" in text


def test_no_registry_is_named_but_the_one_that_is_published_to() -> None:
    for file in (*WORKFLOWS, *FORMS, ROOT / ".pre-commit-config.yaml", GITHUB / "dependabot.yml"):
        assert set(REGISTRY.findall(file.read_text())) <= {"ghcr.io"}


def test_hooks_run_programs_of_the_environment_alone() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = [hook for repository in repositories for hook in repository["hooks"]]

    assert {repository["repo"] for repository in repositories} == {"local"}
    for hook in hooks:
        program = ROOT / hook["entry"].split()[0]
        assert program.parent == ROOT / ".venv/bin"
        assert (Path(sys.executable).parent / program.name).exists()
        re.compile(hook.get("files", ""))
