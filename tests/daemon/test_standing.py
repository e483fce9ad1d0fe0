"""What stands against a service beside its ticks is counted at each of them."""

from __future__ import annotations

import pytest

from autoscaler.daemon.leadership import Alone
from autoscaler.daemon.shared_budget import SharedBudget, SharedBudgets
from autoscaler.daemon.standing import Standing
from autoscaler.daemon.tick import Dependency, Trouble

BUDGETS = SharedBudgets([SharedBudget("h100", 8.0, {"chat": 1})])


class Troubled(Alone):
    """Cannot get at the leases that are named."""

    def __init__(self, *leases: str) -> None:
        self._leases = leases

    def is_troubled(self, service: str) -> bool:
        return service in self._leases


def test_a_service_with_nothing_against_it_has_no_errors() -> None:
    standing = Standing(Troubled(), BUDGETS)
    standing.follow([], [])

    assert list(standing.of("chat")) == []


def test_a_lease_stands_against_the_services_that_it_is_of() -> None:
    standing = Standing(Troubled("budget.h100"), BUDGETS)

    assert list(standing.of("chat")) == [Dependency.LEASE]
    assert list(standing.of("code")) == []


def test_a_refused_edit_stands_against_the_service_that_runs_by_the_last_good_one() -> None:
    standing = Standing(Alone(), BUDGETS)
    standing.follow(["code"], [])

    assert list(standing.of("code")) == [Dependency.POLICY]
    assert list(standing.of("chat")) == []


@pytest.mark.parametrize(
    ("trouble", "against"),
    [
        (Trouble(Dependency.POLICY, "scalingpolicies", "403"), {"chat", "code"}),
        (Trouble(Dependency.BUDGET, "h100", "the minimum replicas cost more"), {"chat"}),
        (Trouble(Dependency.STATUS, "serving/chat", "403"), set()),
    ],
)
def test_what_is_wrong_with_all_policies_or_a_budget_stands_against_whom_it_concerns(
    trouble: Trouble, against: set[str]
) -> None:
    standing = Standing(Alone(), BUDGETS)
    standing.follow([], [trouble])

    found = {service: list(standing.of(service)) for service in ("chat", "code")}
    assert found == {name: [trouble.dependency] if name in against else [] for name in found}
