from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autoscaler.cli.main import app
from tests.config.builders import REMOVED, as_yaml, changed


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.yaml"
    file.write_text(as_yaml(changed({"spec.prometheus": REMOVED})))
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text(as_yaml(changed({"metadata": {"name": "other", "namespace": "other"}, "spec.mode": "enforced"})))
    return file


def run_check(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["check", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_a_good_policy_ends_with_0_and_one_line(good: Path) -> None:
    code, out, err = run_check(good)

    assert (code, out) == (0, f"{good}: ok, llama-70b (1 note)\n")
    assert "note: spec.prometheus: names no url: start with --prometheus URL" in err


def test_a_bad_policy_ends_with_2_and_its_problems_on_stderr(good: Path, bad: Path) -> None:
    code, out, err = run_check(good, bad)

    assert (code, out) == (2, f"{good}: ok, llama-70b (1 note)\n{bad}: refused (1 error)\n")
    assert "spec.mode: is not known here (got enforced" in err


def test_an_annotation_of_ours_that_says_nothing_is_refused_as_by_the_daemon(tmp_path: Path) -> None:
    file = tmp_path / "held.yaml"
    annotations = {"pd-autoscaler.io/pauze": "true", "meta.helm.sh/release-name": "chat"}
    file.write_text(as_yaml(changed({"metadata.annotations": annotations})))

    code, out, err = run_check(file)

    assert (code, out) == (2, f"{file}: refused (1 error)\n")
    assert "metadata.annotations: annotation pd-autoscaler.io/pauze is not known" in err
    assert "did you mean pd-autoscaler.io/pause?" in err


def test_json_puts_everything_on_stdout(good: Path, bad: Path) -> None:
    code, out, err = run_check("-o", "json", bad, good)

    assert (code, err) == (2, "")
    refused, fine = json.loads(out)["files"]
    assert (refused["ok"], refused["services"], fine["ok"], fine["services"]) == (False, [], True, ["llama-70b"])
    assert refused["problems"][0]["path"] == "spec.mode"
    assert refused["problems"][0]["nearest"] == "enforce"
    assert fine["problems"][0]["severity"] == "note"


def test_an_unknown_stack_is_refused_with_the_nearest(good: Path) -> None:
    good.write_text(as_yaml(changed({"spec.stack": "vlm"})))

    code, out, err = run_check(good)

    assert (code, out) == (2, f"{good}: refused (1 error)\n")
    assert "did you mean vllm?" in err


def test_a_query_with_an_unknown_placeholder_is_refused(good: Path) -> None:
    good.write_text(as_yaml(changed({"spec.signals": {"prefill": {"queue_depth": "sum(queue{$prefil})"}}})))

    code, _, err = run_check(good)

    assert code == 2
    assert "$prefil is no placeholder; did you mean prefill?" in err


def test_a_missing_file_is_an_answer_and_no_traceback(tmp_path: Path) -> None:
    code, out, err = run_check(tmp_path / "none.yaml")

    assert (code, out) == (2, f"{tmp_path / 'none.yaml'}: refused (1 error)\n")
    assert "no such file or folder" in err


@pytest.mark.parametrize("command", [["check", ""], ["run", ""], ["replay", "--trace", "load.csv", "--policy", ""]])
def test_an_empty_path_is_refused_and_does_not_stand_for_the_folder_one_is_in(command: list[str]) -> None:
    result = CliRunner().invoke(app, command)

    assert result.exit_code == 2
    assert "an empty path would be the folder you are in" in " ".join(result.stderr.replace("│", " ").split())
