"""Attribute before acting: replicas are the answer only where replicas are short, and only in the pool that is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoscaler.core.attribution import Bottleneck
from autoscaler.core.capacity import EngineModel
from autoscaler.core.decision import Reason
from autoscaler.core.engines import find_engine
from autoscaler.core.policy import Role, ServicePolicy
from tests.core.fluid import Fluid, Load
from tests.support.core import ENGINE, OBJECTIVES, ROLE_POLICY, STEADY, Missing, Reading, service_policy, without_prior
from tests.support.story import Scripted, Story, story

WITH_PRIOR = service_policy()
BY_RULES = service_policy(without_prior(), without_prior())

either_way = pytest.mark.parametrize("policy", [WITH_PRIOR, BY_RULES], ids=["with a prior", "by rules"])


def with_most_decode(policy: ServicePolicy, replicas: int) -> ServicePolicy:
    return replace(
        policy, roles={**policy.roles, Role.DECODE: replace(policy.roles[Role.DECODE], max_replicas=replicas)}
    )


def decode_at_its_limit(policy: ServicePolicy) -> Story:
    """Answers become twenty times longer, decode may not grow, prefilled requests pile up and stall prefill."""
    fluid = Fluid(Load(8.0))
    tale = story(2, 2, policy=with_most_decode(policy, 2), service=fluid).at(300)
    fluid.load = replace(fluid.load, output_tokens=4000.0)
    return tale.wait(1500)


def bottleneck(tale: Story) -> Bottleneck:
    found = tale.decision.attribution
    assert found is not None
    return found.bottleneck


@either_way
def test_a_full_decode_pool_is_not_answered_with_more_prefill(policy: ServicePolicy) -> None:
    tale = decode_at_its_limit(policy)

    assert bottleneck(tale) is Bottleneck.DECODE
    assert tale.current(Role.PREFILL) <= 2, tale.explain()


def test_a_full_decode_pool_does_not_teach_that_prefill_is_slow() -> None:
    fit = decode_at_its_limit(WITH_PRIOR).state.roles[Role.PREFILL].fit

    assert fit is not None
    assert max(fit.factors) < 1.3


@either_way
def test_a_full_decode_pool_is_answered_with_more_decode(policy: ServicePolicy) -> None:
    fluid = Fluid(Load(8.0))
    tale = story(2, 2, policy=policy, service=fluid).at(300)

    fluid.load = replace(fluid.load, output_tokens=4000.0)
    tale.wait(1500)

    assert tale.current(Role.DECODE) > 2
    assert tale.current(Role.PREFILL) <= 3, tale.explain()


@either_way
def test_a_slow_transfer_is_not_answered_with_more_prefill(policy: ServicePolicy) -> None:
    fluid = Fluid(Load(8.0))
    tale = story(2, 2, policy=policy, service=fluid).at(900)
    before = tale.current(Role.PREFILL)

    fluid.transfer_s = 3.0
    tale.wait(900)

    assert bottleneck(tale) is Bottleneck.TRANSFER
    assert max(tale.counts(Role.PREFILL, 900)) <= before, tale.explain()


@either_way
def test_a_slow_fabric_does_not_grow_decode_to_its_maximum(policy: ServicePolicy) -> None:
    """Every transfer takes three seconds, however many replicas there are to fetch."""
    tale = story(2, 2, policy=policy, service=Fluid(Load(8.0), transfer_s=3.0)).at(1800)

    assert tale.current(Role.DECODE) <= 12, tale.explain()


@either_way
def test_a_slow_transfer_is_named_with_its_cure(policy: ServicePolicy) -> None:
    tale = story(policy=policy).says({"service.kv_transfer_time_s": 1.5})

    found = tale.decision.attribution
    assert found is not None
    assert found.transfer_s == 1.5
    assert "a KV transfer takes 1.5 s of a 2 s target" in found.detail
    assert "more prefill would not" in found.detail


@either_way
def test_expired_kv_leases_name_decode(policy: ServicePolicy) -> None:
    tale = story(policy=policy).says({"service.kv_expired_rate": 0.5})

    assert bottleneck(tale) is Bottleneck.DECODE


@either_way
def test_a_queue_before_prefill_names_prefill(policy: ServicePolicy) -> None:
    tale = story(policy=policy).says({"prefill.queue_depth": 60.0, "prefill.queue_time_s": 3.0})

    assert bottleneck(tale) is Bottleneck.PREFILL


@either_way
def test_a_healthy_service_has_no_bottleneck(policy: ServicePolicy) -> None:
    assert bottleneck(story(policy=policy)) is Bottleneck.NONE


@either_way
def test_times_that_are_unknown_name_no_bottleneck(policy: ServicePolicy) -> None:
    tale = story(policy=policy).says({name: Missing.ABSENT for name in STEADY if name.endswith("_s")})

    assert bottleneck(tale) is Bottleneck.NONE


@either_way
def test_a_prompt_that_alone_takes_longer_than_the_target_is_not_answered_with_replicas(policy: ServicePolicy) -> None:
    """LLMKube #482, Dynamo #11624: replicas cannot shorten one request."""
    load = Load(0.2, prompt_tokens=60_000.0)
    work = load.requests_per_s * ENGINE.prefill.request_ms(load.prompt_tokens) / 1e3

    tale = story(2, 1, policy=policy, service=Fluid(load)).at(1800)

    assert tale.current(Role.PREFILL) <= 5.0 * work, tale.explain()


def slower(engine: EngineModel, factor: float) -> EngineModel:
    return replace(engine, decode=replace(engine.decode, d0_ms=engine.decode.d0_ms * factor))


@either_way
def test_a_tpot_that_no_replica_can_reach_does_not_grow_decode_to_its_maximum(policy: ServicePolicy) -> None:
    """The bare step takes 22.8 ms, the objective is 20 ms: more replicas cannot help."""
    tight = replace(OBJECTIVES, tpot=replace(OBJECTIVES.tpot, target_s=0.020))
    fluid = Fluid(Load(8.0), slower(ENGINE, 1.5))

    tale = story(2, 2, policy=replace(policy, objectives=tight), service=fluid).at(3600)

    assert tale.current(Role.DECODE) <= 12, tale.explain()


def one_hot_engine(policy: ServicePolicy, *, obeyed: bool = False) -> Story:
    """Three decode engines are nearly idle, the fourth is full: requests on it are slow and thrown out."""
    tale = story(2, 4, policy=policy, service=Scripted(), obeyed=obeyed)
    tale.says({"decode.running": 70.0, "decode.kv_utilization_mean": 0.3, "decode.kv_utilization_max": 0.99})
    tale.says({"decode.preemption_rate": 0.5, "service.tpot_s": 0.08, "service.tpot_attainment_ratio": 0.7})
    return tale.says({"decode.generation_tokens_per_s": 3200.0})


@either_way
def test_one_hot_engine_does_not_let_the_mean_shrink_the_pool(policy: ServicePolicy) -> None:
    tale = one_hot_engine(policy).at(1800)

    assert min(tale.counts(Role.DECODE)) >= 4, tale.explain()


@either_way
def test_one_hot_engine_grows_the_pool(policy: ServicePolicy) -> None:
    """Dynamo grows only when all engines are over; under KV-affine routing that is never."""
    tale = one_hot_engine(policy).at(1800)

    assert max(tale.counts(Role.DECODE)) > 4, tale.explain()


@either_way
def test_a_hot_prefill_engine_is_seen_by_its_queue(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=policy, service=Fluid(Load(8.0))).at(300)

    tale.says({"prefill.queue_depth": 3000.0, "prefill.queue_time_s": 30.0}).wait(30)

    assert tale.current(Role.PREFILL) > 2


@either_way
def test_waiting_at_decode_grows_decode_and_not_prefill(policy: ServicePolicy) -> None:
    tale = story(2, 2, policy=policy, service=Fluid(Load(8.0)), obeyed=False).at(300)
    prefill = tale.desired(Role.PREFILL)

    tale.wait(15).decode_waiting(1500.0)

    assert tale.desired(Role.DECODE) > 2, tale.explain()
    assert tale.desired(Role.PREFILL) <= prefill


@pytest.mark.parametrize(("tpot_s", "decode"), [(0.051, 11), (0.2, 12)])
def test_a_missed_tpot_without_a_model_is_answered_in_steps(tpot_s: float, decode: int) -> None:
    tale = story(2, 10, policy=BY_RULES).says({"service.tpot_s": tpot_s, "decode.running": 400.0})

    tale.expect(decode=decode, because=Reason.TPOT_OVER_TARGET)


@pytest.mark.parametrize(("tpot_s", "decode"), [(0.051, 11), (0.2, 12)])
def test_a_step_for_latency_waits_for_the_replicas_of_the_last_one(tpot_s: float, decode: int) -> None:
    tale = story(2, 10, policy=BY_RULES, startup_s=300.0)
    tale.says({"service.tpot_s": tpot_s, "decode.running": 400.0})

    assert tale.at(285).current(Role.DECODE) == decode


def test_a_prior_that_is_wrong_by_two_is_corrected_while_it_decides() -> None:
    """What was believed is half as fast as what serves: a quarter of an hour later nothing is wasted."""
    fast = find_engine("llama-3.1-70b", "h100", 8)[1]
    believed = replace(ROLE_POLICY, engine=find_engine("llama-3.1-70b", "h100", 4)[1])
    load = Load(40.0)
    work = load.requests_per_s * fast.prefill.request_ms(load.prompt_tokens) / 1e3

    tale = story(8, 4, policy=service_policy(believed, believed), service=Fluid(load, fast, noise_ratio=0.05)).at(1800)

    assert work < tale.current(Role.PREFILL) <= 1.7 * work + 1.0, tale.explain()


def test_without_a_prior_the_model_takes_over_from_the_rules_and_says_so() -> None:
    fluid = Fluid(Load(10.0), noise_ratio=0.02)
    tale = story(3, 2, policy=BY_RULES, service=fluid)
    sources = []
    for requests_per_s in (10.0, 20.0, 40.0, 60.0, 40.0, 15.0):
        fluid.load = Load(requests_per_s)
        tale.wait(600)
        evidence = tale.decision.roles[Role.DECODE].evidence
        assert evidence is not None
        sources.append(evidence.model_source)

    assert sources[0].startswith("no prior")
    assert "not enough to trust" not in sources[-1]
    assert tale.decision.roles[Role.DECODE].stages[0].reason in {Reason.DECODE_DEMAND, Reason.DECODE_FORECAST}


def test_newborn_replicas_do_not_teach() -> None:
    """Cold caches and first compilations say nothing about an engine (Dynamo #12430)."""
    tale = story(2, 2, service=Fluid(Load(8.0))).at(600)
    before = tale.state.roles[Role.DECODE].fit

    tale.pods[Role.DECODE].startup_s = 0.0
    tale.resized_by_hand(Role.DECODE, 3).says({"decode.step_time_s": 0.5}).wait(105)

    assert tale.state.roles[Role.DECODE].fit == before


def test_replicas_that_have_warmed_up_teach_again() -> None:
    tale = story(2, 2, service=Fluid(Load(8.0))).at(600)
    before = tale.state.roles[Role.DECODE].fit
    assert before is not None

    tale.pods[Role.DECODE].startup_s = 0.0
    tale.resized_by_hand(Role.DECODE, 3).wait(600)

    after = tale.state.roles[Role.DECODE].fit
    assert after is not None
    assert after.samples > before.samples


def test_an_engine_is_not_thought_fast_for_what_its_cache_holds() -> None:
    """Three quarters of each prompt are cached, and prefill takes as long as it is known to take for the rest."""
    alone_s = ENGINE.prefill.request_ms(2000.0, 1500.0) / 1e3
    cached = {"prefill.uncached_ratio": 0.25, "prefill.prefill_time_s": alone_s, "prefill.queue_depth": 0.0}
    tale = story().says(cached).at(1800)

    fit = tale.state.roles[Role.PREFILL].fit
    assert fit is not None
    assert fit.samples > 0
    assert fit.factors == pytest.approx((1.0, 1.0, 1.0), abs=0.15)


def test_prompts_that_are_cut_at_the_end_of_full_passes_do_not_teach_that_the_engine_is_slow() -> None:
    """A pass holds four prompts of 2,000 tokens; every fourth goes on in the next one and takes the time of both."""
    fixed_s, alone_s = ENGINE.prefill.a_ms / 1e3, ENGINE.prefill.request_ms(2000.0) / 1e3
    held = ENGINE.max_batched_tokens / 2000.0
    pass_s = fixed_s + held * (alone_s - fixed_s)
    rate = 2 * held / pass_s
    alike: dict[str, Reading] = {f"service.input_tokens_{part}": 2000.0 for part in ("mean", "p50", "p90")}
    full: dict[str, Reading] = {"prefill.request_rate": rate, "prefill.offered_tokens_per_s": 2000.0 * rate}
    tale = story(2, 2, policy=WITH_PRIOR, service=Scripted(), obeyed=False).says({**alike, **full})
    tale.says({"prefill.queue_depth": 400.0, "prefill.prefill_time_s": pass_s * (1.0 + 1.0 / held)}).at(1800)

    fit = tale.state.roles[Role.PREFILL].fit
    assert fit is not None
    assert fit.samples > 50
    assert fit.factors == pytest.approx((1.0, 1.0, 1.0), abs=0.1)
