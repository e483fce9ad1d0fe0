"""Policies that may be edited while the daemon runs: the last good version of each is what counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from autoscaler.config.load import FileReport, FoundFiles, LoadedPolicy, clashes, find_files, parse
from autoscaler.config.problems import Problem

_Stamp = tuple[int, int, int, int]
Stamps = tuple[_Stamp | None, ...]
"""Of several files: changes when one of them does."""


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What a reload found. A file counts as a whole: an error in it keeps all of its policies as they were.

    Attributes:
        added: Services that are new.
        changed: Services whose policy is another one now.
        removed: Services whose policy is gone.
        errors: Errors that the last reload did not report; see `PolicyStore.errors` for all that stand.
        kept: Services that stay at their last good policy because of these errors.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    errors: tuple[Problem, ...] = ()
    kept: tuple[str, ...] = ()

    @classmethod
    def between(
        cls,
        before: Mapping[str, LoadedPolicy],
        after: Mapping[str, LoadedPolicy],
        errors: tuple[Problem, ...],
        kept: tuple[str, ...],
    ) -> Self:
        """What is new, another one or gone between the policies of two moments, by service."""
        return cls(
            added=tuple(name for name in after if name not in before),
            changed=tuple(
                name for name, loaded in after.items() if name in before and before[name].policy != loaded.policy
            ),
            removed=tuple(name for name in before if name not in after),
            errors=errors,
            kept=kept,
        )

    def __bool__(self) -> bool:
        return any((self.added, self.changed, self.removed, self.errors))


@dataclass(slots=True)
class _File:
    stamps: Stamps
    digest: bytes
    report: FileReport
    good: tuple[LoadedPolicy, ...] = ()


class PolicyStore:
    """The policies of some files and folders, as of the last reload.

    Args:
        paths: Files, and folders whose policy files count.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._files: dict[Path, _File] = {}
        self._path_errors: tuple[Problem, ...] = ()
        self._policies: dict[str, LoadedPolicy] = {}
        self._errors: tuple[Problem, ...] = ()

    @property
    def policies(self) -> Mapping[str, LoadedPolicy]:
        """The last good policy of every service."""
        return self._policies

    @property
    def errors(self) -> tuple[Problem, ...]:
        """All errors that stand now, reported before or not."""
        return self._errors

    def reload(self) -> ReloadReport:
        """Look at the files again; costs one `stat` a file when nothing changed.

        Never raises for a bad policy, nor for one that cannot be looked at just now: that one stays as it was.
        """
        found = find_files(self._paths)
        gone = [file for file in self._files if file not in found.files and not self._is_out_of_sight(file, found)]
        for file in gone:
            del self._files[file]
        refreshed = [self._refresh(file) for file in found.files]
        if not gone and not any(refreshed) and found.problems == self._path_errors:
            return ReloadReport()
        self._path_errors = found.problems
        return self._settle()

    def _is_out_of_sight(self, file: Path, found: FoundFiles) -> bool:
        """Whether a file, or the folder that it was found in, is missing from sight, which says nothing about it."""
        return file in found.hidden or (file.parent in self._paths and file.parent not in found.listed)

    def _refresh(self, file: Path) -> bool:
        """Read a file if it, or one that it names, may have changed; says whether it did."""
        known = self._files.get(file)
        stamps = (_stamp(file), *(stamps_of_named(known.report) if known is not None else ()))
        if known is not None and known.stamps == stamps:
            return False
        try:
            raw = file.read_bytes()
        except OSError as error:
            report = FileReport(file, (), (Problem("", f"cannot be read: {error.strerror}", file=str(file)),))
            return self._note(file, (), b"", report)
        digest = hashlib.sha256(raw).digest()
        if known is not None and known.digest == digest and known.stamps[1:] == stamps[1:]:
            known.stamps = stamps
            return False
        return self._note(file, stamps, digest, parse(raw, file))

    def _note(self, file: Path, stamps: Stamps, digest: bytes, report: FileReport) -> bool:
        known = self._files.get(file)
        if known is None:
            self._files[file] = _File(stamps, digest, report)
            return True
        known.stamps, known.digest = stamps, digest
        changed, known.report = known.report != report, report
        return changed

    def _settle(self) -> ReloadReport:
        """Take over what is good, and say what that changes."""
        clash_errors = self._take_over()
        known_errors, before = set(self._errors), self._policies
        self._errors = (
            *self._path_errors,
            *(error for file in self._files.values() for error in file.report.errors),
            *clash_errors,
        )
        self._policies = {
            loaded.policy.service: loaded for _, file in sorted(self._files.items()) for loaded in file.good
        }
        errors = tuple(error for error in self._errors if error not in known_errors)
        bad_files = {error.file for error in errors}
        kept = tuple(name for name, loaded in self._policies.items() if str(loaded.file) in bad_files)
        return ReloadReport.between(before, self._policies, errors, kept)

    def _take_over(self) -> list[Problem]:
        """Accept each file without errors, unless it claims what a file that stays as it is has already."""
        files = sorted(self._files.items())
        chosen = {path: file.good if file.report.errors else file.report.policies for path, file in files}
        errors: list[Problem] = []
        while True:
            owners: dict[str, LoadedPolicy] = {}
            settled_first = sorted(files, key=lambda item: chosen[item[0]] is not item[1].good)
            for path, file in settled_first:
                found = [problem for loaded in chosen[path] for problem in clashes(loaded, owners)]
                if found and chosen[path] is not file.good:
                    chosen[path] = file.good
                    errors += found
                    break
            else:
                break
        for path, file in files:
            file.good = chosen[path]
        return errors


def stamps_of_named(report: FileReport) -> Stamps:
    """Of the files that the policies of a file name."""
    stacks = (loaded.policy.spec.own_stack for loaded in report.policies)
    return tuple(_stamp(stack.path) for stack in stacks if stack is not None)


def _stamp(file: Path) -> _Stamp | None:
    """Changes when a file does; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
