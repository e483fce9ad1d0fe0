"""Signals from a server that speaks Prometheus' HTTP API."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoscaler.core.signals import Signals
from autoscaler.sources.answers import Answer
from autoscaler.sources.backoff import Backoff
from autoscaler.sources.batches import divide, pack, union
from autoscaler.sources.dialect import Listener
from autoscaler.sources.http import Connection
from autoscaler.sources.query_client import Failure, FailureKind, QueryClient, concerns_expression
from autoscaler.sources.readings import (
    ReplicaCounts,
    read_replicas,
    read_signals,
    replica_expressions,
    signal_expressions,
)
from autoscaler.stacks.queries import ServiceQueries

_BATCH_BYTES = 6000
_LEAST_BATCH_BYTES = 1000
_MOST_REFUSALS = 10
# A correction by NTP is below this.
_CLOCK_SET_S = 2.0


@dataclass(frozen=True, slots=True)
class ReadStats:
    """What one read cost.

    Attributes:
        requests: Requests sent.
        errors: Failed requests by kind.
    """

    requests: int = 0
    errors: Mapping[FailureKind, int] = field(default_factory=dict)


class PrometheusSource:
    """Reads all signals of one service with a number of requests that does not grow with its pods.

    Args:
        queries: What to ask.
        connection: Where to and as whom.
        clock: Monotonic seconds.
        wall: Gives an instant that we are asked about as the wall clock has it now: samples are dated by such clocks.
    """

    def __init__(
        self,
        queries: ServiceQueries,
        connection: Connection,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[float], float] = lambda at_s: at_s,
    ) -> None:
        self.last_read = ReadStats()
        self._listener = Listener(queries)
        self._timeout_s = connection.timeout_s
        self._client = QueryClient(connection, clock)
        self._clock = clock
        self._wall = wall
        self._backoff = Backoff()
        self._outage = ""
        self._batch_bytes = _BATCH_BYTES
        self._alone: set[str] = set()

    @property
    def queries(self) -> ServiceQueries:
        """The queries in the dialect that the service was last heard in."""
        return self._listener.spoken

    def read(self, now_s: float) -> Signals:
        """Read every signal of the queries; see `Source.read`."""
        at_s = self._wall(now_s)
        queries, answers = self._listen(signal_expressions, now_s, at_s)
        return read_signals(queries, answers, at_s)

    def read_replicas(self, now_s: float) -> ReplicaCounts:
        """Read the replica counts from metrics, for where no Kubernetes API is at hand."""
        at_s = self._wall(now_s)
        queries, answers = self._listen(replica_expressions, now_s, at_s)
        return read_replicas(queries, answers, at_s)

    def ask(self, expressions: Iterable[str], now_s: float, /) -> Mapping[str, Answer]:
        """Answer any expressions; an `answers.Ask`."""
        at_s = self._wall(now_s)
        questions = _Questions(self._client, self._clock, at_s, self._clock() + self._timeout_s)
        return self._unless_behind(questions, self._ask(questions, expressions), now_s)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _listen(
        self, wanted: Callable[[ServiceQueries], Iterable[str]], now_s: float, at_s: float
    ) -> tuple[ServiceQueries, Mapping[str, Answer]]:
        started_s = self._clock()
        if wait_s := self._backoff.wait_s(started_s):
            self.last_read = ReadStats()
            reason = f"{self._outage} (failures in a row: {self._backoff.failures}; next attempt in {wait_s:.0f} s)"
            queries = self._listener.spoken
            return queries, {expression: Answer(error=reason) for expression in wanted(queries)}
        questions = _Questions(self._client, self._clock, at_s, started_s + self._timeout_s)
        queries, found = self._listener.hear(wanted, lambda expressions, _: self._ask(questions, expressions), at_s)
        if questions.reached:
            self._backoff.succeeded()
        else:
            self._backoff.failed(self._clock())
            self._outage = questions.latest_failure.message if questions.latest_failure is not None else ""
        self.last_read = ReadStats(questions.requests, dict(questions.errors))
        return queries, self._unless_behind(questions, found, now_s)

    def _unless_behind(
        self, questions: _Questions, answers: Mapping[str, Answer], now_s: float
    ) -> Mapping[str, Answer]:
        """The answers, unless the wall clock was set back to where they tell of the past and look fresh.

        A clock that was set may have been set wrong. Ahead of the server's, it finds nothing, or samples that are seen
        to be old; behind, it finds old ones that are as new as any can be then. So the server's own time counts too.
        """
        behind_s = questions.behind_s
        if abs(questions.at_s - now_s) < _CLOCK_SET_S or behind_s <= self._listener.spoken.stale_after_s:
            return answers
        reason = (
            f"the wall clock here was set and is {behind_s:.0f} s behind that of Prometheus, whose answers are old; "
            "set the clock right"
        )
        return dict.fromkeys(answers, Answer(error=reason))

    def _ask(self, questions: _Questions, expressions: Iterable[str]) -> dict[str, Answer]:
        every = tuple(expressions)
        alone = [expression for expression in every if expression in self._alone]
        together = [expression for expression in every if expression not in self._alone]
        answers: dict[str, Answer] = {}
        for group in pack(together, self._batch_bytes):
            answers |= self._ask_group(questions, group)
        for expression in alone:
            answers[expression] = self._ask_alone(questions, expression)
        return answers

    def _ask_group(self, questions: _Questions, group: Sequence[str]) -> dict[str, Answer]:
        if len(group) == 1:
            return {group[0]: self._ask_alone(questions, group[0])}
        found = questions.ask(union(group))
        if isinstance(found, Failure):
            if found.kind is not FailureKind.EXPRESSION:
                return {expression: Answer(error=found.message) for expression in group}
        elif not concerns_expression(found.warning):
            return {
                expression: Answer(elements, warning=found.warning)
                for expression, elements in divide(group, found.elements).items()
            }
        answers = {expression: self._ask_alone(questions, expression) for expression in group}
        if not any(answer.error or answer.warning for answer in answers.values()):
            # No member is at fault, so the union was too large for the server.
            self._batch_bytes = max(self._batch_bytes // 2, _LEAST_BATCH_BYTES)
        return answers

    def _ask_alone(self, questions: _Questions, expression: str) -> Answer:
        """Ask for one expression; one that is at fault itself stays out of groups until it is well again."""
        found = questions.ask(expression)
        if isinstance(found, Failure):
            if found.kind is FailureKind.EXPRESSION:
                self._alone.add(expression)
            return Answer(error=found.message)
        if concerns_expression(found.warning):
            self._alone.add(expression)
        else:
            self._alone.discard(expression)
        return found


class _Questions:
    """The questions of one read: they share a deadline, and end with the first failure that would meet them all.

    Attributes:
        at_s: Unix time of the evaluation.
        behind_s: How far that was behind the server's clock when it last answered; 0 where it does not say.
    """

    def __init__(self, client: QueryClient, clock: Callable[[], float], at_s: float, deadline_s: float) -> None:
        self.at_s = at_s
        self.behind_s = 0.0
        self.requests = 0
        self.errors: Counter[FailureKind] = Counter()
        self.reached = False
        self.latest_failure: Failure | None = None
        self._client = client
        self._clock = clock
        self._began_s = clock()
        self._deadline_s = deadline_s
        self._answered = False
        self._hopeless: Failure | None = None

    def ask(self, expression: str) -> Answer | Failure:
        """Ask one question, if there is a point in it."""
        if self._hopeless is not None:
            return self._hopeless
        left_s = self._deadline_s - self._clock()
        if left_s <= 0:
            message = f"earlier queries used up the time of this tick{self._because()}"
            return Failure(FailureKind.TIMEOUT, message, hopeless=True)
        self.requests += 1
        found = self._client.ask(expression, self.at_s, left_s)
        if isinstance(found, Failure):
            self._note(found)
            return found
        self.reached = self._answered = True
        if (server_s := self._client.server_s) is not None:
            self.behind_s = server_s - self.at_s - (self._clock() - self._began_s)
        if found.warning:
            self.errors[FailureKind.WARNING] += 1
        return found

    def _note(self, failure: Failure) -> None:
        self.errors[failure.kind] += 1
        self.latest_failure = failure
        if failure.hopeless:
            self._hopeless = failure
        elif not self._answered and self.errors[FailureKind.EXPRESSION] > _MOST_REFUSALS:
            self._hopeless = replace(failure, kind=FailureKind.SERVER, hopeless=True)
        # A server that refuses one query is up; one that refuses every query is of no use.
        self.reached = self._answered or (failure.kind is FailureKind.EXPRESSION and self._hopeless is None)

    def _because(self) -> str:
        return f"; the last failure was: {self.latest_failure.message}" if self.latest_failure is not None else ""
