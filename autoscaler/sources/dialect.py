"""Finds out in which dialect of its stack a service speaks: which engine, and how metric names are spelled.

Names change under a running daemon: an upgraded Prometheus spells a colon otherwise, a rollout brings another engine.
So the probes of all dialects go along with every read. They cost one expression each, and the dialect changes only
when the one in use has gone stale while another has not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from autoscaler.sources.answers import Answer, Ask
from autoscaler.sources.readings import age_expression, replica_expressions, signal_expressions
from autoscaler.stacks.queries import ServiceQueries


class Listener:
    """Asks in the dialect that a service was last heard in, and notices when it speaks another one.

    Args:
        queries: The questions about one service.

    Attributes:
        spoken: The questions in the dialect last heard; the stack's likeliest until one is.
    """

    def __init__(self, queries: ServiceQueries) -> None:
        self.spoken = queries
        self._known = (queries, *queries.alternatives)

    def hear(
        self, wanted: Callable[[ServiceQueries], Iterable[str]], ask: Ask, now_s: float
    ) -> tuple[ServiceQueries, Mapping[str, Answer]]:
        """Ask for what is wanted.

        Args:
            wanted: Gives the expressions to ask of the questions in one dialect.
            ask: Answers them.
            now_s: Unix time of the observation.

        Returns:
            The questions that were asked, and the answers.
        """
        if len(self._known) == 1:
            return self.spoken, ask(wanted(self.spoken), now_s)
        probes = {queries.dialect: age_expression(queries.probe) for queries in self._known}
        answers = ask((*wanted(self.spoken), *probes.values()), now_s)
        newest_s = {dialect: _newest_s(answers[probe]) for dialect, probe in probes.items()}
        heard = max(self._known, key=lambda queries: newest_s[queries.dialect])
        spoken_s = newest_s[self.spoken.dialect]
        if now_s - spoken_s <= self.spoken.stale_after_s or newest_s[heard.dialect] <= spoken_s:
            return self.spoken, answers
        self.spoken = heard
        return heard, ask(wanted(heard), now_s)

    def texts(self) -> set[str]:
        """Every expression that may be asked."""
        probes = {age_expression(queries.probe) for queries in self._known} if len(self._known) > 1 else set()
        return probes.union(*map(signal_expressions, self._known), *map(replica_expressions, self._known))


def _newest_s(answer: Answer) -> float:
    return answer.elements[0].value if answer.elements else -math.inf
