from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from autoscaler.config import PolicyError, load_paths
from autoscaler.config.load import inspect_paths
from tests.config.builders import as_yaml, changed


def named(name: str, namespace: str | None = None) -> str:
    return as_yaml(changed({"metadata": {"name": name, "namespace": namespace or name}}))


def test_a_folder_stands_for_its_policy_files_in_order(tmp_path: Path) -> None:
    for file in ("b.yml", "a.yaml", "c.json", "notes.txt", ".hidden.yaml"):
        (tmp_path / file).write_text(named(file[:1]) if file[0] in "abc" else "no policy")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.yaml").write_text(named("d"))

    assert [loaded.policy.service for loaded in load_paths([tmp_path])] == ["a", "b", "c"]


def test_a_file_named_twice_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(named("a"))

    assert len(load_paths([file, tmp_path])) == 1


def test_every_policy_knows_its_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "both.yaml"
    file.write_text(f"# two\n{named('a')}---\n{named('b')}")

    first, second = load_paths([file])

    assert (first.file, first.line) == (file, 2)
    assert second.line == len(named("a").splitlines()) + 3


def test_all_problems_of_all_files_are_raised_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text("")
    (tmp_path / "c.yaml").write_text(named("c"))

    with pytest.raises(PolicyError) as refused:
        load_paths([tmp_path])

    assert [Path(problem.file or "").name for problem in refused.value.problems] == ["a.yaml", "b.yaml"]


def test_a_path_that_does_not_exist_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "vllm.yaml").write_text(named("a"))

    with pytest.raises(PolicyError) as refused:
        load_paths([tmp_path / "vlm.yaml"])

    assert refused.value.problems[0].nearest == str(tmp_path / "vllm.yaml")


def test_a_folder_without_policies_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")

    with pytest.raises(PolicyError, match="holds no policy file"):
        load_paths([tmp_path])


def test_a_service_name_belongs_to_one_policy(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(named("same", "one"))
    (tmp_path / "b.yaml").write_text(named("same", "two"))

    with pytest.raises(PolicyError) as refused:
        load_paths([tmp_path])

    (problem,) = refused.value.problems
    assert (problem.path, problem.value) == ("metadata.name", "same")
    assert problem.message == f"is the name of another policy, at {tmp_path / 'a.yaml'}:1"


def test_a_deployment_belongs_to_one_policy(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{named('a', 'serving')}---\n{named('b', 'serving')}")

    (report,) = inspect_paths([tmp_path])

    assert [error.path for error in report.errors] == ["spec.roles.prefill.target", "spec.roles.decode.target"]
    assert report.errors[0].value == "Deployment serving/vllm-prefill"


def test_a_policy_as_the_cluster_has_it_is_read_without_what_the_server_wrote(tmp_path: Path) -> None:
    written = yaml.safe_load(as_yaml(changed()))
    written["metadata"] |= {
        "uid": "8b1e",
        "resourceVersion": "42",
        "generation": 3,
        "managedFields": [{"manager": "k"}],
    }
    written["metadata"]["creationTimestamp"] = "2026-11-01T08:00:00Z"
    written["status"] = {"conditions": []}
    file = tmp_path / "object.yaml"
    file.write_text(yaml.safe_dump(written))

    (loaded,) = load_paths([file])

    assert loaded.policy.service == written["metadata"]["name"]


def test_a_status_that_no_server_wrote_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text(as_yaml(changed({"status": {"conditions": []}})))

    with pytest.raises(PolicyError, match="status: is no key of this place"):
        load_paths([file])
