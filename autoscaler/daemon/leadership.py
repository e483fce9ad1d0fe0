"""Who writes: the elected one, or a daemon that is alone."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable, Mapping
from typing import Protocol

from autoscaler.targets.base import Outcome, WriteResult

LED_BY_ANOTHER = WriteResult(
    Outcome.DEFERRED, "nothing was changed: the lease ran out before the write, and whoever leads now decides"
)
"""What becomes of a write whose right is lost on the way to it."""


class Leadership(Protocol):
    """Knows for which services this daemon may write."""

    def stand_for(self, services: Iterable[str]) -> None:
        """Make the services those given."""
        ...

    def may_write(self, service: str) -> bool:
        """Whether a write for a service may begin now. To be asked right before each one."""
        ...

    def term(self, service: str) -> int:
        """How often the right to write for a service has become ours; in between somebody else may have written."""
        ...

    def is_troubled(self, service: str) -> bool:
        """Whether it could not be found out lately who may write for a service."""
        ...

    def start(self) -> None:
        """Begin to stand."""
        ...

    def close(self, *, release: bool) -> None:
        """Stand no more; `release` what is held only if no write is under way."""
        ...


class Alone:
    """The only daemon there is; whoever runs it answers for that."""

    def stand_for(self, services: Iterable[str]) -> None:
        """Nothing to do: there is nobody to share with."""

    def may_write(self, service: str) -> bool:  # noqa: ARG002 - any service
        """Always."""
        return True

    def term(self, service: str) -> int:  # noqa: ARG002 - any service
        """Once, from the beginning."""
        return 1

    def is_troubled(self, service: str) -> bool:  # noqa: ARG002 - any service
        """Never: there is nothing to find out."""
        return False

    def start(self) -> None:
        """Nothing to do."""

    def close(self, *, release: bool) -> None:
        """Nothing to give up."""


def own_identity(environ: Mapping[str, str] = os.environ) -> str:
    """The name of our pod, and what tells this process from an earlier one in it."""
    pod = environ.get("POD_NAME") or socket.gethostname()
    return f"{pod}_{secrets.token_hex(4)}"
