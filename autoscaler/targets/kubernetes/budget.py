"""How many requests a daemon may send to the API server, all its services together."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

# Two hundred services with a tick each 15 s take 80 requests/s; a server must not see more of a loop gone wild.
PER_SECOND = 200.0
BURST = 400


class RequestBudget:
    """A token bucket; safe to share between threads and clients.

    Args:
        per_s: Requests a second in the long run.
        burst: Requests that may come at once.
        clock: Monotonic seconds.
        sleep: Lets so many seconds pass.
    """

    def __init__(
        self,
        per_s: float = PER_SECOND,
        burst: int = BURST,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.per_s = per_s
        self._burst = burst
        self._clock = clock
        self._sleep = sleep
        self._tokens = float(burst)
        self._filled_s = clock()
        self._lock = Lock()

    def take(self, patience_s: float) -> bool:
        """Take one request out of it, waiting for it if need be; says whether that took no longer than allowed."""
        with self._lock:
            now_s = self._clock()
            self._tokens = min(self._tokens + (now_s - self._filled_s) * self.per_s, float(self._burst))
            self._filled_s = now_s
            wait_s = max((1.0 - self._tokens) / self.per_s, 0.0)
            if wait_s > patience_s:
                return False
            self._tokens -= 1.0  # below 0: those who wait stand in line
        if wait_s > 0:
            self._sleep(wait_s)
        return True
