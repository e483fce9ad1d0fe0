"""Notices that the settings file is not what the daemon was started with: it is read at the start alone."""

from __future__ import annotations

from pathlib import Path

from autoscaler.daemon.settings_file import FileSettings, SettingsError, load_settings
from autoscaler.daemon.tick import Dependency, Trouble


class SettingsWatch:
    """Compares the settings file with what is in force.

    Args:
        path: The file; None where there is none.
        in_force: What the daemon was started with.
    """

    def __init__(self, path: Path | None, in_force: FileSettings) -> None:
        self._path = path
        self._in_force = in_force
        self._seen: tuple[int, ...] | None = None
        self._found: list[Trouble] = []

    def troubles(self) -> list[Trouble]:
        """What the file says that is not in force, or why a restart with it would fail."""
        if self._path is None:
            return []
        seen = _stamp(self._path)
        if seen != self._seen:
            self._seen, self._found = seen, list(_differences(self._path, self._in_force))
        return self._found


def _differences(path: Path, in_force: FileSettings) -> list[Trouble]:
    try:
        now = load_settings(path)
    except SettingsError as error:
        message = f"{error}; what was read at the start stays in force, and with this it would not start again: mend it"
        return [Trouble(Dependency.POLICY, str(path), message)]
    if now == in_force:
        return []
    message = "the settings file has changed, and is read at the start alone: restart all daemons to put it in force"
    return [Trouble(Dependency.POLICY, str(path), message)]


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes when the file does, also where a volume exchanges what it links to."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size
