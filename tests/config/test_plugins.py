from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from autoscaler.config.plugins import GROUP, PluginError, fenced, find_plugin
from autoscaler.core.decide import decide
from autoscaler.core.decision import Decision, Reason
from autoscaler.core.policy import Role, RolePolicy
from autoscaler.core.proposal import Proposal, RoleContext, Term
from autoscaler.core.signals import Scope, Signal, measured
from autoscaler.core.snapshot import PoolState, Snapshot
from autoscaler.core.state import State
from tests.config.builders import error, errors, policy

MODULE = """
from pydantic import BaseModel, ConfigDict, Field
from autoscaler.core.decision import Reason
from autoscaler.core.proposal import Proposal, RoleContext, Term

class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    replicas: int = Field(default=3, ge=0)

def propose(context: RoleContext, settings: Settings) -> Proposal:
    return Proposal((Term(float(settings.replicas), Reason.STEADY, "always"),))

def untyped(context, settings):
    return None
"""
AT_S = 1_700_000_000.0


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts packages on the path, each with entry points of its own."""
    (tmp_path / "house_policies.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)

    def put(distribution: str, **points: str) -> None:
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}")

    return put


def signals(running: float = 4.0) -> dict[Scope, dict[str, Signal]]:
    return {Scope.DECODE: {"running": measured(running, "requests", 1.0)}}


def decided(pool: RolePolicy, current: int = 2) -> Decision:
    core = policy().core()
    core = (
        policy()
        .core()
        .__class__(**{name: getattr(core, name) for name in core.__dataclass_fields__} | {"roles": {Role.DECODE: pool}})
    )
    pools = {Role.DECODE: PoolState(current, current)}
    decision, _ = decide(core, Snapshot(core.service, AT_S, pools, signals(), {}), State(started_at_s=0.0), AT_S)
    return decision


def decode(choice: dict[str, Any]) -> RolePolicy:
    return policy({"spec.roles.decode.policy": choice}).core().roles[Role.DECODE]


def test_without_a_choice_the_built_in_policy_proposes() -> None:
    pool = policy().core().roles[Role.DECODE]

    assert (pool.proposal, pool.propose) == ("auto", None)


def test_a_registered_function_proposes_with_its_settings(install: Callable[..., None]) -> None:
    install("house", fixed="house_policies:propose")

    pool = decode({"name": "fixed", "settings": {"replicas": 5}})
    role = decided(pool).roles[Role.DECODE]

    assert (pool.proposal, pool.settings) == ("fixed", {"replicas": 5})
    assert (role.uncapped, role.desired) == (5, 5)
    assert role.stages[0].detail == "role policy fixed: always"


def test_settings_that_are_left_out_are_those_of_its_model(install: Callable[..., None]) -> None:
    install("house", fixed="house_policies:propose")

    assert decode({"name": "fixed"}).settings == {"replicas": 3}


def test_guards_wrap_what_it_proposes(install: Callable[..., None]) -> None:
    install("house", fixed="house_policies:propose")

    role = decided(decode({"name": "fixed", "settings": {"replicas": 500}})).roles[Role.DECODE]

    assert role.uncapped == 500
    assert role.desired == 6  # 2 and, within the first 15 s, 4 more
    assert role.reason is Reason.RATE_LIMITED


def test_an_unknown_name_is_refused_with_the_nearest(install: Callable[..., None]) -> None:
    install("house", fixed="house_policies:propose")

    found = error({"spec.roles.decode.policy": {"name": "fixd"}})

    assert found.path == "spec.roles.decode.policy.name"
    assert (found.value, found.allowed, found.nearest) == ("fixd", "auto, fixed", "fixed")


@pytest.mark.parametrize(
    ("settings", "path", "words"),
    [
        ({"replica": 4}, "settings.replica", "did you mean replicas?"),
        ({"replicas": -1}, "settings.replicas", "greater than or equal to 0 (got -1)"),
        ({"replicas": "many"}, "settings.replicas", "valid integer"),
    ],
)
def test_settings_are_checked_by_its_model(
    install: Callable[..., None], settings: dict[str, Any], path: str, words: str
) -> None:
    install("house", fixed="house_policies:propose")

    found = error({"spec.roles.decode.policy": {"name": "fixed", "settings": settings}})

    assert found.path == f"spec.roles.decode.policy.{path}"
    assert words in str(found)


def test_the_built_in_policy_takes_no_settings() -> None:
    (found,) = errors({"spec.roles.prefill.policy": {"settings": {"replicas": 3}}})

    assert found.path == "spec.roles.prefill.policy.settings.replicas"


def test_two_packages_with_one_name_are_refused(install: Callable[..., None]) -> None:
    install("house", fixed="house_policies:propose")
    install("guest", fixed="house_policies:untyped")

    with pytest.raises(PluginError, match="several role policies"):
        find_plugin("fixed")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("house_policies:gone", "cannot be loaded"),
        ("no_such_module:propose", "cannot be loaded"),
        ("house_policies:untyped", "not annotated"),
        ("house_policies:Settings", "not annotated"),
    ],
)
def test_an_entry_point_that_is_no_role_policy_is_refused(install: Callable[..., None], value: str, words: str) -> None:
    install("house", odd=value)

    found = error({"spec.roles.decode.policy": {"name": "odd"}})

    assert words in found.message


class NoSettings(BaseModel):
    pass


def raises(_context: RoleContext, _settings: object) -> Proposal:
    raise ZeroDivisionError("float division by zero")


def answers(value: Any) -> Callable[[RoleContext, object], Any]:
    return lambda _context, _settings: value


def term(need: float, **numbers: float) -> Proposal:
    return Proposal((Term(need, Reason.STEADY, "", numbers),))


@pytest.mark.parametrize(
    ("propose", "words"),
    [
        (raises, "it raised ZeroDivisionError('float division by zero')"),
        (answers(term(math.nan)), "it asked for nan replicas"),
        (answers(term(math.inf)), "it asked for inf replicas"),
        (answers(term(-1.0)), "it asked for -1.0 replicas"),
        (answers(term(1.0, rate=math.nan)), "its number rate is nan"),
        (answers(None), "it returned NoneType"),
        (answers(Proposal(())), "it proposed nothing"),
        (answers(Proposal((None,))), "it returned None"),  # type: ignore[arg-type]
        (answers(Proposal((Term(1.0, "because", ""),))), "it returned Term(need=1.0"),  # type: ignore[arg-type]
        (answers(Proposal(3)), "it raised TypeError"),  # type: ignore[arg-type]
        (answers(term("4")), "it raised TypeError"),  # type: ignore[arg-type]
    ],
)
def test_a_broken_plug_in_holds_the_pool_and_is_named(
    propose: Callable[[RoleContext, object], Any], words: str
) -> None:
    pool = replace(policy().core().roles[Role.DECODE], propose=fenced("odd", propose, NoSettings()))

    role = decided(pool).roles[Role.DECODE]

    assert role.desired == role.current == 2
    assert role.reason is Reason.SIGNALS_UNUSABLE
    assert role.stages[0].detail.startswith(f"role policy odd is broken: {words}")


def test_a_policy_with_a_plug_in_can_be_sent_to_another_process(install: Callable[..., None]) -> None:
    install("house", fixed="house_policies:propose")
    document = policy({"spec.roles.decode.policy": {"name": "fixed", "settings": {"replicas": 5}}})

    sent, core = pickle.loads(pickle.dumps((document, document.core())))  # noqa: S301 - our own bytes

    for pool in (sent.core().roles[Role.DECODE], core.roles[Role.DECODE]):
        assert decided(pool).roles[Role.DECODE].desired == 5
