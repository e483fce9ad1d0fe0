"""Fetches metrics pages, from several threads at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import urllib3

from autoscaler import __version__
from autoscaler.sources.http import TooLargeError, cause_of, read_body

_MOST_BYTES = 16 * 1024 * 1024
_MOST_REDIRECTS = 3
MOST_AT_ONCE = 32
"""Pages that are fetched side by side."""
_MOST_HOSTS = 1024


@dataclass(frozen=True, slots=True)
class Page:
    """A metrics page, or why there is none."""

    text: str = ""
    error: str = ""


class PageFetcher:
    """Gets pages without retries, within a time and a size.

    Args:
        timeout_s: Longest wait for a page.
        clock: Monotonic seconds.
    """

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._pool = urllib3.PoolManager(
            num_pools=_MOST_HOSTS,
            maxsize=MOST_AT_ONCE,
            timeout=timeout_s,
            retries=urllib3.Retry(None, connect=0, read=0, status=0, other=0, redirect=_MOST_REDIRECTS),
            headers={
                "Accept": "text/plain;version=0.0.4",
                "Accept-Encoding": "gzip",
                "User-Agent": f"pd-autoscaler/{__version__}",
            },
        )

    def fetch(self, url: str) -> Page:
        """Get one page. Never raises for a sick server."""
        deadline_s = self._clock() + self._timeout_s
        try:
            response = self._pool.request("GET", url, preload_content=False)
            try:
                body = read_body(response, _MOST_BYTES, deadline_s, self._clock)
            finally:
                response.close()
            if response.status != HTTPStatus.OK:
                return Page(error=f"answered {response.status} {body[:100].decode(errors='replace').strip()}".rstrip())
            return Page(text=body.decode())
        except (urllib3.exceptions.HTTPError, TooLargeError, UnicodeDecodeError, OSError, ValueError) as error:
            return Page(error=self._in_words(error))

    def _in_words(self, error: Exception) -> str:
        reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
        if isinstance(reason, urllib3.exceptions.NewConnectionError):
            return f"cannot be reached: {cause_of(reason)}"
        if isinstance(reason, urllib3.exceptions.TimeoutError):
            return f"no answer within {self._timeout_s:g} s"
        return f"gave no page: {cause_of(error)}"

    def close(self) -> None:
        """Let go of connections."""
        # Clearing alone leaves it to the garbage collector to close idle connections.
        for key in list(self._pool.pools.keys()):
            self._pool.pools[key].close()
        self._pool.clear()
