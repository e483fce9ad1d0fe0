"""Annotations that hold a service: what they may say, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from autoscaler.core.policy import Hold, HoldKind
from autoscaler.daemon.holds import HoldError, with_holds
from tests.daemon.builders import policy, role_policy

SIX = datetime(2026, 11, 21, 18, tzinfo=UTC).timestamp()
POLICY = policy(prefill=role_policy(1, 8), decode=role_policy(1, 8))


def holds(**annotations: str) -> dict[str, Hold | None]:
    named = {f"pd-autoscaler.io/{name.replace('_', '-')}": text for name, text in annotations.items()}
    return {role.value: pool.hold for role, pool in with_holds(POLICY, named).roles.items()}


@pytest.mark.parametrize(
    ("text", "until_s", "roles"),
    [
        ("true", None, {"prefill", "decode"}),
        ("decode", None, {"decode"}),
        ("prefill, decode", None, {"prefill", "decode"}),
        ("until 2026-11-21T18:00:00Z", SIX, {"prefill", "decode"}),
        ("decode until 2026-11-21T19:00:00+01:00", SIX, {"decode"}),
        ("false", None, set()),
    ],
)
@pytest.mark.parametrize(("name", "kind"), [("pause", HoldKind.PAUSE), ("grow_only", HoldKind.GROW_ONLY)])
def test_a_pool_is_held_for_good_or_for_a_while(
    name: str, kind: HoldKind, text: str, until_s: float | None, roles: set[str]
) -> None:
    found = holds(**{name: text})

    assert {role for role, hold in found.items() if hold is not None} == roles
    assert all(hold == Hold(kind, until_s) for hold in found.values() if hold is not None)


def test_a_pin_names_its_numbers() -> None:
    assert holds(pin="prefill=4 decode=6 until 2026-11-21T18:00:00Z") == {
        "prefill": Hold(HoldKind.PIN, SIX, 4),
        "decode": Hold(HoldKind.PIN, SIX, 6),
    }


def test_pools_may_be_held_in_different_ways() -> None:
    found = holds(pause="prefill", pin="decode=3")

    assert [hold.kind for hold in found.values() if hold is not None] == [HoldKind.PAUSE, HoldKind.PIN]


def test_annotations_of_others_mean_nothing() -> None:
    assert with_holds(POLICY, {"team": "ml", "kubectl.kubernetes.io/last-applied-configuration": "{}"}) == POLICY


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({"pause": "yes please"}, "'yes please' is not understood; write true, or decode until"),
        ({"pause": ""}, "is not understood"),
        ({"pause": "decode=3"}, "is not understood"),
        ({"pause": "router"}, "is not understood"),
        ({"pause": "aggregated"}, "is not understood"),
        ({"pin": "decode"}, "write prefill=4 decode=6"),
        ({"pin": "true"}, "write prefill=4 decode=6"),
        ({"pin": "decode=many"}, "is not understood"),
        ({"pin": "decode=-1"}, "is not understood"),
        ({"pin": "decode=9"}, "decode=9 is outside of min and max of the policy, 1 to 8"),
        ({"pause": "until tomorrow"}, "is not understood"),
        ({"pause": "until"}, "is not understood"),
        ({"pause": "until 2026-11-21T18:00:00"}, "without a zone"),
        ({"pause": "decode", "pin": "decode=3"}, "both hold decode: keep one of them"),
        ({"puase": "true"}, "did you mean pd-autoscaler.io/pause?"),
        ({"freeze": "true"}, "is not known; known are pd-autoscaler.io/pause"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(annotations: dict[str, str], words: str) -> None:
    with pytest.raises(HoldError, match=words.replace("?", r"\?")):
        holds(**annotations)
