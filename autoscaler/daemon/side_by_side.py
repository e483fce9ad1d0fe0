"""Requests to one server, a few side by side, so that many of them take little longer than a few."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from threading import Thread

MOST = 10
"""Requests under way at once: as many as a client of the API server keeps connections for."""


def side_by_side(
    requests: Iterable[Callable[[], bool]],
    *,
    stopped: Callable[[], bool],
    left_s: Callable[[], float] | None = None,
    most: int = MOST,
) -> None:
    """Carry out requests on a few threads, the first ones first, and wait for them.

    A thread whose request finds no server begins no other. So a server that is down or hangs costs the time of one
    request, however many are wanted, and a single failure among many answers keeps none of the others.

    Args:
        requests: Each says whether the server was there.
        stopped: Whether no more requests are to begin.
        left_s: Seconds for which requests under way are still waited for; they go on without us after. None waits for
            as long as they take.
        most: Requests under way at once.

    Raises:
        Exception: The first that a request raised; the others are carried out nevertheless.
    """
    waiting, raised = deque(requests), list[Exception]()

    def next_one() -> Callable[[], bool] | None:
        try:
            return waiting.popleft() if not stopped() else None
        except IndexError:  # another thread took the last one
            return None

    def work() -> None:
        while (request := next_one()) is not None:
            try:
                if not request():
                    return
            except Exception as error:  # noqa: BLE001 - raised again by whoever waits
                raised.append(error)

    threads = [Thread(target=work, name="request", daemon=True) for _ in range(min(most, len(waiting)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(left_s(), 0.0) if left_s is not None else None)
    if raised:
        raise raised[0]
