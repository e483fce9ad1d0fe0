"""Standard output and standard error as the commands may rely on them: there, in UTF-8, and honest when they fail."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from autoscaler.cli.exits import ExitCode

# What a write fails with where the place that it goes to is full or gone.
_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EPIPE})


@contextmanager
def sound_streams() -> Iterator[None]:
    """Make the streams usable, and see to it that all output has arrived at the end.

    Raises:
        SystemExit: The output could not be written; that is said on standard error, if there is one.
    """
    # A shell can close either: what is written to the output must not be lost unnoticed, messages may.
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whatever the locale: pages are UTF-8, and so is every file that the output may be redirected to.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        if error.errno != errno.EPIPE:  # who closes a pipe has seen enough
            with suppress(OSError):
                sys.stderr.write(f"error: the output cannot be written: {error.strerror}\n")
                sys.stderr.flush()
        _drop(sys.stdout)
        _drop(sys.stderr)
        sys.exit(ExitCode.UNWRITTEN)


def _drop(stream: TextIO) -> None:
    """Let what is left in a stream vanish, or the interpreter would complain of it at its end."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
