"""Reads policies from files and folders: all of them, or every problem in them."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autoscaler.config.document import Document, read_documents
from autoscaler.config.files import FILES, PolicyFiles, nearest_file
from autoscaler.config.lint import lint
from autoscaler.config.model import API_VERSION, KIND, ScalingPolicy
from autoscaler.config.problems import PolicyError, Problem
from autoscaler.config.translate import problems_of
from autoscaler.config.wording import shorten

SUFFIXES = (".yaml", ".yml", ".json")
STACK_SUFFIXES = (".stack.yaml", ".stack.yml")
"""How files end that stand among policies, and are stacks that these name."""

_OF_THE_SERVER = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy that may be used.

    Attributes:
        policy: The policy.
        file: Where it came from.
        line: Where it begins there.
        warnings: What is doubtful about it.
    """

    policy: ScalingPolicy
    file: Path
    line: int
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class FileReport:
    """What a file holds: its usable policies, and the errors in it."""

    file: Path
    policies: tuple[LoadedPolicy, ...]
    errors: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """What a look at paths found.

    Attributes:
        files: The policy files behind them, each once.
        problems: What is wrong with a path.
        listed: Folders whose policy files are all among the files.
        hidden: Paths that could not be looked at, which says nothing about what is there.
    """

    files: tuple[Path, ...]
    problems: tuple[Problem, ...]
    listed: frozenset[Path]
    hidden: frozenset[Path]


def load_paths(paths: Iterable[Path]) -> list[LoadedPolicy]:
    """Read every policy in files and folders.

    Raises:
        PolicyError: Anything is wrong with any of them; it holds all problems.
    """
    reports = inspect_paths(paths)
    errors = [error for report in reports for error in report.errors]
    if errors:
        raise PolicyError(errors)
    return [policy for report in reports for policy in report.policies]


def inspect_paths(paths: Iterable[Path]) -> list[FileReport]:
    """Read files and folders, and report on each file; problems of a path that gives no file come first."""
    found = find_files(paths)
    missing = [FileReport(Path(error.file or ""), (), (error,)) for error in found.problems]
    return [*missing, *refuse_clashes(read_file(file) for file in found.files)]


def find_files(paths: Iterable[Path]) -> FoundFiles:
    """The policy files behind paths; a folder stands for the policy files in it, sorted, not below it."""
    files: dict[Path, None] = {}
    problems: list[Problem] = []
    listed: set[Path] = set()
    hidden: set[Path] = set()
    for path in paths:
        try:
            mode = _mode(path)
            if mode is None:
                problems.append(_no_such_path(path))
            elif stat.S_ISDIR(mode):
                found = sorted(entry for entry in path.iterdir() if _is_policy_file(entry))
                listed.add(path)
                if not found:
                    problems.append(Problem("", f"holds no policy file ({', '.join(SUFFIXES)})", file=str(path)))
                files.update(dict.fromkeys(found))
            else:
                files[path] = None
        except OSError as error:
            hidden.add(path)
            problems.append(Problem("", f"cannot be looked at: {error.strerror}", file=str(path)))
    return FoundFiles(tuple(files), tuple(problems), frozenset(listed), frozenset(hidden))


def read_file(file: Path) -> FileReport:
    """Read one file; whatever is wrong with it is in the report."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        return FileReport(file, (), (Problem("", f"cannot be read: {error.strerror}", file=str(file)),))
    return parse(raw, file)


def parse(raw: bytes, file: Path, files: PolicyFiles | None = None) -> FileReport:
    """Read the content of one file.

    Args:
        raw: The content.
        file: What to call it in messages.
        files: What files it may name; None for any, from its own folder.
    """
    files = files or PolicyFiles(file.parent)
    documents, errors = read_documents(raw, str(file))
    policies: list[LoadedPolicy] = []
    for document in documents:
        try:
            policy = _validate(document, files)
        except PolicyError as error:
            errors += error.problems
        else:
            policies.append(LoadedPolicy(policy, file, document.line_of(()), tuple(lint(policy, document))))
    return FileReport(file, tuple(policies), tuple(sorted(errors, key=lambda error: error.line or 0)))


def refuse_clashes(reports: Iterable[FileReport]) -> Iterator[FileReport]:
    """Refuse a policy whose service, or whose target, an earlier one has already."""
    owners: dict[str, LoadedPolicy] = {}
    for report in reports:
        errors = [problem for loaded in report.policies for problem in clashes(loaded, owners)]
        yield replace(report, errors=(*report.errors, *errors)) if errors else report


def clashes(loaded: LoadedPolicy, owners: dict[str, LoadedPolicy]) -> list[Problem]:
    """What a policy claims that another one owns; what is free becomes its own.

    A policy whose name is taken is most likely a copy, so nothing is said about its targets.
    """
    name = loaded.policy.service
    owner = owners.setdefault(name, loaded)
    if owner is not loaded:
        return [_clash("metadata.name", "is the name of another policy", name, loaded, owner)]
    problems: list[Problem] = []
    for role, target in loaded.policy.targets().items():
        if not target.holds_one_count:
            continue
        owner = owners.setdefault(str(target), loaded)
        if owner is not loaded:
            path = f"spec.roles.{role}.target"
            problems.append(_clash(path, "is scaled by another policy", str(target), loaded, owner))
    return problems


def _clash(path: str, words: str, value: str, loaded: LoadedPolicy, owner: LoadedPolicy) -> Problem:
    message = f"{words}, at {owner.file}:{owner.line}"
    return Problem(path, message, value, file=str(loaded.file), line=loaded.line)


def _validate(document: Document, files: PolicyFiles) -> ScalingPolicy:
    for key, wanted in (("kind", KIND), ("apiVersion", API_VERSION)):
        found = document.data.get(key, wanted)
        if found != wanted:  # a stranger's document: what else is wrong with it says nothing
            value = shorten(found) if isinstance(found, str) else None
            line = document.line_of((key,))
            raise PolicyError([Problem(key, "is no scaling policy", value, wanted, file=document.file, line=line)])
    try:
        return ScalingPolicy.model_validate(_as_applied(document.data), context={FILES: files})
    except ValidationError as error:
        raise PolicyError(problems_of(error, document)) from None


def _as_applied(data: dict[str, Any]) -> dict[str, Any]:
    """An object of the cluster, as `kubectl get -o yaml` prints it, without what the server wrote; others unchanged."""
    metadata = data.get("metadata")
    if not isinstance(metadata, dict) or "uid" not in metadata:
        return data
    kept = {key: value for key, value in metadata.items() if key not in _OF_THE_SERVER}
    return {**{key: value for key, value in data.items() if key != "status"}, "metadata": kept}


def _is_policy_file(path: Path) -> bool:
    if path.name.startswith(".") or path.name.endswith(STACK_SUFFIXES) or path.suffix not in SUFFIXES:
        return False
    try:
        mode = _mode(path)
    except OSError:
        return True  # reading it says what is wrong
    return mode is not None and stat.S_ISREG(mode)


def _mode(path: Path) -> int | None:
    """What a path leads to; None where there is nothing.

    Raises:
        OSError: It cannot be told.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _no_such_path(path: Path) -> Problem:
    near = nearest_file(path)
    return Problem("", "no such file or folder", nearest=str(path.parent / near) if near else None, file=str(path))
