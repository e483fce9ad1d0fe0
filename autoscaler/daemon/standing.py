"""What is wrong with a service beside its ticks: its lease, its policy, the budget that it shares."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from autoscaler.daemon.leadership import Leadership
from autoscaler.daemon.shared_budget import SharedBudgets
from autoscaler.daemon.tick import Dependency, Trouble


@dataclass(frozen=True, slots=True)
class _Seen:
    outdated: frozenset[str] = frozenset()
    unseen: bool = False
    short: frozenset[str] = frozenset()


class Standing:
    """Says of a service what stands against it now.

    Args:
        leads: Who knows of leases.
        budgets: Who knows which service is paid from where.

    Attributes:
        troubles: What is wrong with where policies come from, with budgets and settings, as of the last reload.
    """

    def __init__(self, leads: Leadership, budgets: SharedBudgets) -> None:
        self._leads = leads
        self._budgets = budgets
        self._seen = _Seen()
        self.troubles: tuple[Trouble, ...] = ()

    def follow(self, outdated: Collection[str], troubles: Collection[Trouble]) -> None:
        """Take note of what a reload found.

        Args:
            outdated: Services that run by an earlier policy than the one that is there.
            troubles: What is wrong with where policies come from, and with budgets.
        """
        self.troubles = tuple(troubles)
        short = {trouble.subject for trouble in troubles if trouble.dependency is Dependency.BUDGET}
        unseen = any(trouble.dependency is Dependency.POLICY for trouble in troubles)
        self._seen = _Seen(frozenset(outdated), unseen, frozenset(self._budgets.lease_of(name) for name in short))

    def of(self, service: str) -> Iterator[Dependency]:
        """What is wrong, by what failed."""
        seen, lease = self._seen, self._budgets.lease(service)
        if self._leads.is_troubled(lease):
            yield Dependency.LEASE
        if seen.unseen or service in seen.outdated:
            yield Dependency.POLICY
        if lease in seen.short:
            yield Dependency.BUDGET
