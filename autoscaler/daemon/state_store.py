"""Where the memory of each service lives between ticks, and between one process and the next."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from autoscaler.core.state import State, StateError
from autoscaler.daemon.state_format import dump, parse


class StateStoreError(Exception):
    """Memory could not be read or written; the message says what follows from it."""


class StateUnreachableError(StateStoreError):
    """Memory cannot be read just now: nobody knows what was changed last, so nothing may be until it can be."""


class StateTakenError(StateStoreError):
    """Somebody else has written this memory meanwhile: they act for the service, so we must not."""


class StateStore(Protocol):
    """Keeps one state per service."""

    def load(self, service: str, now_s: float) -> State:
        """The state last saved; an empty one when there is none.

        Raises:
            StateUnreachableError: It cannot be told whether there is one.
            StateStoreError: There is one that cannot be used.
        """
        ...

    def save(self, service: str, state: State, *, urgent: bool = True) -> None:
        """Keep a state.

        Args:
            service: Name of the service.
            state: What to keep.
            urgent: Whether a change depends on it; else a store for which saving is dear may skip it.

        Raises:
            StateTakenError: Somebody else has written it since we last did.
            StateStoreError: It could not be kept.
        """
        ...


class MemoryStateStore:
    """Keeps states as long as the process lives, over every reload of the policies."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}

    def load(self, service: str, now_s: float) -> State:  # noqa: ARG002 - what never left the process needs no repair
        """The state last saved; an empty one when there is none."""
        return self._states.get(service, State())

    def save(self, service: str, state: State, *, urgent: bool = True) -> None:  # noqa: ARG002 - it costs nothing here
        """Keep a state."""
        self._states[service] = state


class FileStateStore:
    """Keeps one JSON file per service, replaced atomically: a crash leaves the old state or the new one, never half.

    Args:
        directory: Where the files go; made when missing.

    Raises:
        OSError: The directory cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._known: dict[str, str] = {}

    def path(self, service: str) -> Path:
        """The file of a service."""
        return self._directory / f"{quote(service, safe='')}.json"

    def load(self, service: str, now_s: float) -> State:
        """The state last saved; an empty one when there is none.

        Raises:
            StateStoreError: The file cannot be read, or not be understood; then it is kept aside under `.corrupt`.
        """
        path = self.path(service)
        self._known.pop(service, None)
        try:
            text = path.read_text(encoding="utf-8")
            state = parse(text, now_s)
        except FileNotFoundError:
            return State()
        except OSError as error:
            raise StateStoreError(f"cannot read {path}: {error.strerror}; starting without memory") from error
        except (StateError, ValueError) as error:
            aside = _set_aside(path)
            raise StateStoreError(f"{path}: {error}; kept as {aside}, starting without memory") from error
        self._known[service] = text
        return state

    def save(self, service: str, state: State, *, urgent: bool = True) -> None:  # noqa: ARG002 - it costs little here
        """Keep a state.

        Raises:
            StateTakenError: Somebody else has written it since we last did.
            StateStoreError: The file cannot be written.
        """
        path, text = self.path(service), dump(state)
        if self._is_taken(service):
            raise StateTakenError(
                f"{path} was written by somebody else: two daemons act for {service}, or it was just "
                "released; stop one, or run them with --leader-elect; nothing is written in this tick"
            )
        draft = path.with_suffix(".json.new")
        try:
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            self._known[service] = text
        except OSError as error:
            raise StateStoreError(
                f"cannot write {path}: {error.strerror}; a restart would forget the last changes"
            ) from error

    def _is_taken(self, service: str) -> bool:
        """Whether the file holds what somebody else remembers; what is no memory, or gone, is written anew."""
        known = self._known.get(service)
        try:
            text = self.path(service).read_text(encoding="utf-8")
            if known in {None, text}:
                return False
            parse(text, math.inf)
        except (OSError, StateError, ValueError):
            return False
        return True


def _set_aside(path: Path) -> str:
    aside = path.with_suffix(".json.corrupt")
    try:
        path.replace(aside)
    except OSError as error:
        return f"{path.name} where it is ({error.strerror})"
    return aside.name
