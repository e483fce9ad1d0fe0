"""A policy that brings a stack file of its own: which file is meant, what may be read, and when it counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoscaler.config import PolicyStore, ScalingPolicy
from autoscaler.config.document import MAX_BYTES
from autoscaler.config.files import NO_FILES, PolicyFiles
from autoscaler.config.load import FileReport, inspect_paths, parse
from tests.config.builders import REMOVED, as_yaml, changed

OWN = {"spec.stack": REMOVED, "spec.stackFile": "my.stack.yaml"}


def document(changes: dict[str, Any] | None = None) -> bytes:
    return as_yaml(changed(OWN | (changes or {}))).encode()


def read(folder: Path, files: PolicyFiles | None = None, changes: dict[str, Any] | None = None) -> FileReport:
    return parse(document(changes), folder / "policy.yaml", files)


def policy(report: FileReport) -> ScalingPolicy:
    assert report.errors == ()
    return report.policies[0].policy


def test_a_relative_path_starts_at_the_policys_folder(tmp_path: Path) -> None:
    (tmp_path / "my.stack.yaml").write_text("name: mine")

    own = policy(read(tmp_path)).spec.own_stack

    assert own is not None
    assert (own.path, own.content, own.trouble) == (tmp_path / "my.stack.yaml", b"name: mine", "")


def test_a_file_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "my-stack.yaml").write_text("name: mine")

    own = policy(read(tmp_path)).spec.own_stack

    assert own is not None
    assert (own.trouble, own.nearest) == ("no such file", "my-stack.yaml")


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "my.stack.yaml").write_bytes(b"#" * (MAX_BYTES + 1))

    own = policy(read(tmp_path)).spec.own_stack

    assert own is not None
    assert (own.content, own.trouble) == (b"", "is larger than 1024 KiB")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spec.stack": REMOVED}, "spec.stack: is missing: which serving stack is it? (allowed: one of stack,"),
        (
            {"spec.stackFile": "my.stack.yaml"},
            "spec.stackFile: does not go with stack (got my.stack.yaml, allowed: one",
        ),
    ],
)
def test_a_stack_is_either_named_or_brought(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    (problem,) = parse(as_yaml(changed(changes)).encode(), tmp_path / "policy.yaml").errors

    assert words in str(problem)


@pytest.mark.parametrize("key", ["spec.stackFile", "spec.engine.profile"])
def test_where_no_files_may_be_named_none_is_opened(tmp_path: Path, key: str) -> None:
    own = OWN if key == "spec.stackFile" else {}
    raw = as_yaml(changed({**own, key: "/etc/hostname"})).encode()

    (problem,) = parse(raw, tmp_path / "policy.yaml", NO_FILES).errors

    assert problem.path == key
    assert "policyFiles in the settings file" in problem.message


@pytest.mark.parametrize("name", ["/etc/hostname", "../secret.yaml", "link.yaml"])
def test_behind_a_fence_nothing_outside_is_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.yaml").write_text("token: t")
    fence = tmp_path / "files"
    fence.mkdir()
    (fence / "link.yaml").symlink_to(tmp_path / "secret.yaml")

    report = read(tmp_path, PolicyFiles(fence, fenced=True), {"spec.stackFile": name})

    (problem,) = report.errors
    assert problem.path == "spec.stackFile"
    assert f"is outside of {fence}" in problem.message


def test_behind_a_fence_a_mounted_config_map_is_read(tmp_path: Path) -> None:
    """The kubelet keeps the files in a folder that it swaps, behind links."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "my.stack.yaml").write_text("name: mine")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "my.stack.yaml").symlink_to("..data/my.stack.yaml")

    own = policy(read(Path("elsewhere"), PolicyFiles(tmp_path, fenced=True))).spec.own_stack

    assert own is not None
    assert own.content == b"name: mine"


def test_a_stack_file_beside_policies_is_no_policy(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_bytes(document())
    (tmp_path / "my.stack.yaml").write_text("name: mine")

    assert [report.file.name for report in inspect_paths([tmp_path])] == ["policy.yaml"]


def test_an_edited_stack_file_changes_the_policy(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_bytes(document())
    (tmp_path / "my.stack.yaml").write_text("name: mine")
    store = PolicyStore([tmp_path])
    assert store.reload().added == ("llama-70b",)
    assert not store.reload()

    (tmp_path / "my.stack.yaml").write_text("name: ours")

    assert store.reload().changed == ("llama-70b",)
    assert not store.reload()


def test_a_stack_file_that_comes_later_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_bytes(document())
    store = PolicyStore([tmp_path])
    store.reload()

    (tmp_path / "my.stack.yaml").write_text("name: mine")

    assert store.reload().changed == ("llama-70b",)
