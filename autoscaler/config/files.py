"""Files that a policy names beside itself: where their paths start, and which of them may be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoscaler.config.document import MAX_BYTES
from autoscaler.config.problems import nearest

FILES = "files"
"""Key of the validation context: the `PolicyFiles` of the policy."""


class FileRefusedError(ValueError):
    """A policy names a file that it may not; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """What files a policy may name.

    Attributes:
        folder: Where relative paths start; None where the policy may name no file at all.
        fenced: Whether nothing outside of the folder may be read.
    """

    folder: Path | None = Path()
    fenced: bool = False

    def path(self, name: str) -> Path:
        """The file behind a name.

        Raises:
            FileRefusedError: It may not be read; nothing of it was looked at.
        """
        if self.folder is None:
            raise FileRefusedError(
                "names a file of the daemon, and an object in the cluster may name none: the operator can give a "
                "folder of files for them, policyFiles in the settings file"
            )
        path = self.folder / name
        try:
            is_inside = path.resolve().is_relative_to(self.folder.resolve())
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a null byte
            raise FileRefusedError(f"is no name of a file: {error}") from None
        if self.fenced and not is_inside:
            raise FileRefusedError(
                f"is outside of {self.folder}, where the operator keeps the files that objects in the cluster may name"
            )
        return path


NO_FILES = PolicyFiles(None)


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file as it was when the policy was loaded.

    Attributes:
        path: Where it is.
        content: What it held; empty where it could not be read.
        trouble: Why it could not; empty where it could.
        nearest: The file of its folder that was probably meant.
    """

    path: Path
    content: bytes = b""
    trouble: str = ""
    nearest: str | None = None


def read_named(path: Path) -> NamedFile:
    """Read a file; whatever is wrong with it is in the result."""
    try:
        if not path.is_file():
            return NamedFile(path, trouble="no such file", nearest=nearest_file(path))
        if path.stat().st_size > MAX_BYTES:
            return NamedFile(path, trouble=f"is larger than {MAX_BYTES // 1024} KiB")
        return NamedFile(path, path.read_bytes())
    except OSError as error:
        return NamedFile(path, trouble=f"cannot be read: {error.strerror}")


def nearest_file(path: Path) -> str | None:
    """Name of the file beside a path that was probably meant."""
    try:
        return nearest(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        return None
