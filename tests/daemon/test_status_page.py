from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from autoscaler.core.attribution import Attribution, Bottleneck
from autoscaler.core.decision import SwitchDecision, SwitchStep
from autoscaler.core.policy import Mode, Role
from autoscaler.core.signals import Scope, absent
from autoscaler.daemon.conditions import CONDITIONS
from autoscaler.daemon.health import HealthServer
from autoscaler.daemon.ledger import Account
from autoscaler.daemon.loopback import is_loopback
from autoscaler.daemon.metrics.page import MetricsPage
from autoscaler.daemon.recent import Recent
from autoscaler.daemon.settings import Settings
from autoscaler.daemon.status import concerns, status
from autoscaler.daemon.status_page import status_page
from autoscaler.daemon.status_site import status_documents
from autoscaler.daemon.tick import Dependency, Tick, Trouble
from tests.daemon.builders import START_S, Bench, policy
from tests.daemon.test_health import Stand, get
from tests.report.builders import decision

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def tick(service: str = "chat", *, at_s: float = START_S, troubles: tuple[Trouble, ...] = ()) -> Tick:
    return Tick(service, at_s, replace(decision(service), at_s=at_s), troubles=troubles)


def account(latest: Tick | None, service: str = "chat") -> Account:
    return Account(policy(Mode.RECOMMEND, service=service), "serving", START_S, latest, finished_s=START_S)


def page(*ticks: Tick, only: str = "", recent: Recent | None = None, missing: tuple[str, ...] = ()) -> str:
    accounts = {one.service: account(one, one.service) for one in ticks}
    return status_page(accounts, missing, (recent or Recent()).of, START_S + 5.0, only)


def test_it_says_what_each_pool_has_and_wants_and_why() -> None:
    made = page(tick())

    assert "1/2 → 5 (8 without guards)" in made
    assert "prefill backlog: 40 waiting must drain in 0.4 s; at max: the policy allows at most 5" in made
    assert "3/3 → 3" in made


def test_it_shows_each_signal_with_its_age_and_why_one_is_missing() -> None:
    made = page(tick())

    assert "Signals of prefill: 2 of 2 usable" in made
    assert "3 s" in made
    assert "no series matches" in made


def test_it_shows_every_step_from_proposal_to_number() -> None:
    made = page(tick())

    assert "How prefill of chat came to 5" in made
    assert "2 → 8" in made
    assert "8 → 5" in made


def test_the_switch_is_told_in_words() -> None:
    switch = SwitchDecision(None, SwitchStep.GROWING_DECODE, "together is cheaper", 12.0, 8.0)
    latest = tick()
    assert latest.decision is not None
    made = page(replace(latest, decision=replace(latest.decision, switch=switch)))

    assert "growing decode; together is cheaper; apart needs 12 GPUs; together needs 8 GPUs" in made


def test_what_is_wrong_comes_before_everything_else() -> None:
    trouble = Trouble(Dependency.SIGNALS, "prefill", "Prometheus at http://prom:9090 refused the connection")

    made = page(tick(troubles=(trouble,)))

    assert made.index("refused the connection") < made.index("1/2 → 5")
    assert "signals missing" in made


@pytest.mark.parametrize("where", ["service", "detail", "trouble", "missing"])
def test_nothing_that_others_wrote_becomes_markup(where: str) -> None:
    latest = tick(HOSTILE if where == "service" else "chat")
    if where == "detail":
        assert latest.decision is not None
        signals = {**latest.decision.signals, Scope.DECODE: {"running": absent("requests", HOSTILE)}}
        latest = replace(latest, decision=replace(latest.decision, signals=signals))
    if where == "trouble":
        latest = replace(latest, troubles=(Trouble(Dependency.WRITE, HOSTILE, HOSTILE),))
    recent = Recent()
    for _ in range(3):
        recent.report(latest)

    made = page(latest, recent=recent, missing=(HOSTILE,) if where == "missing" else ())

    assert "<script>alert" not in made
    assert "<img" not in made
    assert "&lt;script&gt;alert" in made


def test_passwords_in_addresses_are_blanked_out() -> None:
    trouble = Trouble(Dependency.SIGNALS, "prefill", "https://me:secret-word@prom cannot be reached")
    accounts = {"chat": account(tick(troubles=(trouble,)))}

    assert "secret-word" not in page(tick(troubles=(trouble,)))
    assert "secret-word" not in json.dumps(status(accounts, [], START_S))


def test_many_services_are_a_list_that_begins_with_the_worst() -> None:
    trouble = Trouble(Dependency.SIGNALS, "prefill", "no signal")
    ticks = [tick(f"svc-{place}") for place in range(9)] + [tick("zz-broken", troubles=(trouble,))]

    made = page(*ticks)

    assert made.index(">zz-broken<") < made.index(">svc-0<")
    assert "How prefill of" not in made
    assert "How prefill of svc-3 came to 5" in page(*ticks, only="svc-3")


def test_a_service_that_is_not_there_and_one_that_is_new_are_said() -> None:
    assert "There is no such service" in page(tick(), only="gone")
    assert "The first look at it is under way" in status_page({"chat": account(None)}, [], Recent().of, START_S)
    assert "No scaling policy is in force" in status_page({}, [], Recent().of, START_S)


@pytest.mark.parametrize("interval_s", [1.0, 15.0, 60.0, 600.0])
def test_the_last_hour_is_remembered_and_no_more_whatever_the_interval(interval_s: float) -> None:
    recent = Recent()
    end_s = START_S + 7200.0
    for place in range(round(7200.0 / interval_s) + 1):
        recent.report(tick(at_s=START_S + interval_s * place))

    kept = recent.of("chat")
    assert len(kept) <= 260
    assert kept[0].at_s == pytest.approx(end_s - 3600.0, abs=15.0)
    assert kept[-1].at_s == end_s
    assert kept[-1].desired == {Role.PREFILL: 5, Role.DECODE: 3}
    assert "Has prefill of chat what it wants?" in page(tick(), recent=recent)


def test_a_service_that_is_gone_is_forgotten_after_an_hour() -> None:
    recent = Recent()
    recent.report(tick("gone"))
    recent.report(tick(at_s=START_S + 3700.0))

    assert recent.of("gone") == ()


def test_the_json_form_holds_the_record_and_the_conditions() -> None:
    trouble = Trouble(Dependency.SIGNALS, "prefill", "no signal")
    told = status({"chat": account(tick(troubles=(trouble,)))}, ["no policy is loaded"], START_S + 5.0)

    (service,) = json.loads(json.dumps(told, allow_nan=False))["services"]
    assert told["missing"] == ["no policy is loaded"]
    assert service["looked_s_ago"] == 5.0
    assert service["decision"]["roles"]["prefill"]["desired"] == 5
    assert [found["type"] for found in service["conditions"]] == list(CONDITIONS)
    assert service["concerns"] == ["TtftMissed", "SignalsMissing", "AtMax"]


@pytest.mark.parametrize(
    ("trouble", "concern"),
    [
        (Trouble(Dependency.WRITE, "prefill", "may not patch deployments/scale"), "WriteFailed"),
        (Trouble(Dependency.STATE, "service", "no space left on device"), "StateFailed"),
    ],
)
def test_what_failed_is_a_concern_though_signals_and_counts_are_there(trouble: Trouble, concern: str) -> None:
    calm = replace(Bench().tick(), troubles=(trouble,))

    assert concerns(account(calm)) == [concern]
    assert "1 to look at" in page(calm)


def test_no_credentials_get_into_page_or_json() -> None:
    bench = Bench()
    bench.target.errors[Role.PREFILL] = "https://user:hunter2@proxy refused Authorization: Bearer hunter2"
    bench.source.signals = {Scope.DECODE: {"running": absent("requests", "http://user:hunter2@prom:9090 refused")}}
    latest = bench.tick()

    assert "hunter2" not in page(latest)
    assert "hunter2" not in json.dumps(status({"chat": account(latest)}, [], START_S))


def test_an_edit_that_is_refused_is_on_the_page_beside_services_that_are_well() -> None:
    refused = Trouble(Dependency.POLICY, "chat.yaml", f"chat.yaml:3: spec.mode: {HOSTILE}; the last good policies stay")
    known = {"chat": account(tick())}

    made = status_page(known, [], Recent().of, START_S, "", [refused])
    told = status(known, [], START_S, [refused])

    assert "chat.yaml:3: spec.mode: " in made
    assert HOSTILE not in made
    assert "1 trouble beside them" in made
    assert told["troubles"][0]["dependency"] == "policy"
    assert "beside them" not in page(tick())


def served(stand: Stand) -> HealthServer:
    documents = status_documents(stand.ledger, Recent(), stand.clock, list)
    return HealthServer("127.0.0.1", 0, stand.ledger, MetricsPage(stand.ledger), stand.clock, documents=documents)


def test_page_and_json_are_served_and_narrowed_to_a_service() -> None:
    stand = Stand()
    stand.ledger.book(tick(), START_S, START_S)
    with served(stand) as server:
        status_code, content_type, body = get(server, "/")
        data: Mapping[str, list[object]] = json.loads(get(server, "/status.json")[2])
        narrowed: Mapping[str, list[object]] = json.loads(get(server, "/status.json?service=other")[2])

    assert (status_code, content_type) == (200, "text/html; charset=utf-8")
    assert "1/2 → 5" in body
    assert len(data["services"]) == 1
    assert narrowed["services"] == []


def test_without_documents_there_is_no_page() -> None:
    stand = Stand()
    with HealthServer("127.0.0.1", 0, stand.ledger, MetricsPage(stand.ledger), stand.clock) as server:
        code, _, body = get(server, "/")

    assert (code, body) == (404, "/healthz /readyz /metrics\n")


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False), ("10.0.0.3", False)],
)
def test_beyond_loopback_is_beyond_loopback(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone
    assert Settings(host=host).shows_status is alone
    assert Settings(host=host, status_page=True).shows_status


def test_a_bottleneck_that_nobody_measures_is_unknown_and_not_none() -> None:
    latest = tick()
    assert latest.decision is not None
    unmeasured = Attribution(None, None, None, None, Bottleneck.NONE, "no part of the path holds requests up")

    made = page(replace(latest, decision=replace(latest.decision, attribution=unmeasured)))

    assert "unknown, no part of the path is measured" in made
    assert "holds requests up" not in made


@pytest.mark.parametrize(
    ("mode", "leads", "words"),
    [
        (Mode.RECOMMEND, True, ">speaks for it<"),
        (Mode.RECOMMEND, False, ">another daemon speaks for it<"),
        (Mode.ENFORCE, True, ">writes for it<"),
        (Mode.ENFORCE, False, ">another daemon writes for it<"),
    ],
)
def test_it_says_who_acts_and_an_adviser_only_speaks(mode: Mode, leads: bool, words: str) -> None:
    known = {"chat": Account(policy(mode), "serving", START_S, replace(tick(), leads=leads), finished_s=START_S)}

    assert words in status_page(known, [], Recent().of, START_S)
