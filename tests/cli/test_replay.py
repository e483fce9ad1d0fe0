from __future__ import annotations

import csv
import io
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from autoscaler.cli.exits import CliError
from autoscaler.cli.replay import replay
from autoscaler.cli.spans import parse_instant_s
from autoscaler.simulation.traces.formats import bundled_trace
from autoscaler.simulation.traces.synthetic import poisson

ROW = {
    "policy",
    "attainment",
    "ttft_p95_s",
    "tpot_p95_s",
    "gpu_hours",
    "bound_gpu_hours",
    "actions",
    "reversals_per_hour",
    "misses",
    "simulated_requests_per_s",
}


@pytest.fixture(scope="module")
def trace_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    load = poisson(4.0, 1200.0, bundled_trace(), seed=3)
    file = tmp_path_factory.mktemp("traces") / "calm.csv"
    columns = zip(load.arrival_s, load.input_tokens, load.output_tokens, strict=True)
    rows = "".join(f"{at_s:.3f},{prompt},{output}\n" for at_s, prompt, output in columns)
    file.write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")
    return file


def said(*options: str) -> str:
    app = typer.Typer()
    app.command()(replay)
    result = CliRunner().invoke(app, list(options))
    if isinstance(result.exception, CliError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def engine(trace_file: Path) -> tuple[str, ...]:
    return "--trace", str(trace_file), "--model", "llama-3.1-70b", "--gpu", "h100", "--tp", "4"


def test_the_record_has_our_row_first_and_every_column(trace_file: Path) -> None:
    record: dict[str, Any] = json.loads(said(*engine(trace_file), "--against", "hpa,static-peak", "-o", "json"))

    assert [row["policy"] for row in record["rows"]] == ["pd-autoscaler", "hpa", "static-peak"]
    assert record["requests"] == len(trace_file.read_text().splitlines()) - 1
    assert all(row.keys() >= ROW for row in record["rows"])
    ours = record["rows"][0]
    assert ours["misses"] == record["requests"] - round(ours["attainment"] * record["requests"])


def test_a_calm_load_is_served_inside_the_objectives_without_going_back_and_forth(trace_file: Path) -> None:
    ours = json.loads(said(*engine(trace_file), "-o", "json"))["rows"][0]

    assert ours["attainment"] >= 0.99
    assert ours["reversals_per_hour"] == 0


def test_the_same_seed_makes_the_same_replay(trace_file: Path) -> None:
    def numbers() -> dict[str, Any]:
        row = json.loads(said(*engine(trace_file), "--seed", "7", "-o", "json"))["rows"][0]
        return {name: value for name, value in row.items() if name != "simulated_requests_per_s"}

    assert numbers() == numbers()


def test_csv_and_table_show_the_same_policies(trace_file: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(said(*engine(trace_file), "--against", "static-peak", "-o", "csv"))))
    table = said(*engine(trace_file), "--against", "static-peak")

    assert [row["policy"] for row in rows] == ["pd-autoscaler", "static-peak"]
    assert "pd-autoscaler" in table
    assert "static-peak" in table


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "llama-3.1-70b", "--tp", "4", "--against", "hpaa"], "no baseline is called hpaa; there are hpa"),
        (["--model", "llama-3.1-70b", "--tp", "4", "--against", "HPA"], "static-peak; did you mean hpa?"),
        (["--model", "llama-3.1-70b", "--tp", "4", "--against", "hpa,keda, hpa"], "--against hpa: named twice"),
        (["--model", "llama-9"], "is not in the built-in table"),
        ([], "Name --policy FILE, or --model"),
        (["--model", "llama-3.1-70b", "--tp", "4", "--ttft", "2 parsecs"], "spec.objectives.ttft.target"),
    ],
)
def test_what_cannot_be_played_is_said(trace_file: Path, options: list[str], words: str) -> None:
    with pytest.raises(CliError) as refused:
        said("--trace", str(trace_file), *options)

    assert words in str(refused.value)


def test_html_is_one_page_with_every_policy_and_no_progress_in_it(trace_file: Path) -> None:
    page = said(*engine(trace_file), "--against", "static-peak", "-o", "html")

    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert "static-peak" in page
    assert "Did prefill have the replicas that it needed?" in page


def test_a_sweep_has_a_row_for_every_combination_in_order(trace_file: Path) -> None:
    sweeps = ("--sweep", "startup=60s,600s", "--sweep", "rate=1,0.5")
    rows = json.loads(said(*engine(trace_file), *sweeps, "-o", "json"))["rows"]

    assert [(row["startup"], row["rate"]) for row in rows] == [
        ("60s", "1"),
        ("60s", "0.5"),
        ("600s", "1"),
        ("600s", "0.5"),
    ]
    assert rows[0]["ttft_p95_s"] != rows[1]["ttft_p95_s"]


def test_a_share_that_is_swept_stands_beside_the_share_that_was_attained(trace_file: Path) -> None:
    options = (*engine(trace_file), "--sweep", "attainment=90%,99.9%")
    rows = json.loads(said(*options, "-o", "json"))["rows"]

    assert [row["goal"] for row in rows] == ["90%", "99.9%"]
    assert all(0.99 < row["attainment"] <= 1.0 for row in rows)
    assert [row["goal"] for row in csv.DictReader(io.StringIO(said(*options, "-o", "csv")))] == ["90%", "99.9%"]
    assert re.search("rows over goal. Best in time: pd-autoscaler with goal (90|99.9)%:", said(*options, "-o", "html"))


def test_a_sweep_says_of_how_many_requests_it_is(trace_file: Path) -> None:
    once = json.loads(said(*engine(trace_file), "--rate", "0.5", "-o", "json"))
    swept = json.loads(said(*engine(trace_file), "--rate", "0.5", "--sweep", "seed=1,2", "-o", "json"))

    assert (swept["trace"], swept["requests"]) == (once["trace"], once["requests"])


def test_several_policies_about_one_service_are_told_apart(trace_file: Path, tmp_path: Path) -> None:
    text = (resources.files("autoscaler.simulation") / "data" / "demo.yaml").read_text()
    (tmp_path / "as-it-is.yaml").write_text(text)
    (tmp_path / "tight.yaml").write_text(text.replace("max: 24", "max: 1"))

    options = ("--policy", str(tmp_path / "as-it-is.yaml"), "--policy", str(tmp_path / "tight.yaml"))
    rows = json.loads(said("--trace", str(trace_file), *options, "-o", "json"))["rows"]

    assert [row["policy"] for row in rows] == ["llama-70b", "llama-70b (tight)"]


def test_policies_of_one_service_in_files_of_one_name_are_all_played(trace_file: Path, tmp_path: Path) -> None:
    text = (resources.files("autoscaler.simulation") / "data" / "demo.yaml").read_text()
    files = [tmp_path / folder / "chat.yaml" for folder in ("a", "b", "c")]
    for file in files:
        file.parent.mkdir()
        file.write_text(text)

    options = [part for file in files for part in ("--policy", str(file))]
    rows = json.loads(said("--trace", str(trace_file), *options, "-o", "json"))["rows"]

    assert [row["policy"] for row in rows] == [
        "llama-70b",
        "llama-70b (chat)",
        f"llama-70b ({files[2]})",
    ]


def test_a_word_for_a_prometheus_that_is_misspelt_is_no_mere_missing_file() -> None:
    with pytest.raises(CliError, match=r"cannot read trace promtheus: No such file.*; did you mean prometheus\?"):
        said("--trace", "promtheus", "--model", "llama-3.1-70b", "--tp", "4")


def test_a_policy_that_is_named_twice_is_refused(trace_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text((resources.files("autoscaler.simulation") / "data" / "demo.yaml").read_text())

    for again in (file, tmp_path, tmp_path / ".." / tmp_path.name / "chat.yaml"):
        with pytest.raises(CliError, match=r"--policy .*chat\.yaml: named twice, and would be played twice"):
            said("--trace", str(trace_file), "--policy", str(file), "--policy", str(again))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ttft", "2s"], "set spec.objectives.ttft.target there, or play other values with --sweep ttft=A,B"),
        (["--tpot", "10ms"], "set spec.objectives.tpot.target there, or play other values with --sweep tpot=A,B"),
        (["--startup", "60s"], "set spec.roles.prefill.startupTime and spec.roles.decode.startupTime there, or play"),
        (["--model", "llama-3.1-70b"], "set spec.model there"),
        (["--gpu", "h100"], "set spec.engine.gpu there"),
        (["--tp", "4"], "set spec.engine.tensorParallel there"),
        (["--since", "7d"], "--since goes with --trace prometheus only"),
        (["--prometheus", "http://x"], "--prometheus goes with --trace prometheus only"),
        (["--from", "2026-11-23T08:00"], "--from is the clock of schedules, and no policy has any: leave it out"),
        (["--rate", "2", "--sweep", "rate=1,3"], "--rate does not go with --sweep rate, which names every value"),
        (["--seed", "0", "--sweep", "seed=1,3"], "--seed does not go with --sweep seed, which names every value"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    trace_file: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    file = tmp_path / "chat.yaml"
    file.write_text((resources.files("autoscaler.simulation") / "data" / "demo.yaml").read_text())

    with pytest.raises(CliError) as refused:
        said("--trace", str(trace_file), "--policy", str(file), *options)

    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--sweep", "startupp=60s"],
            "no such setting; there are ttft, tpot, attainment, startup, rate, seed; did you",
        ),
        (["--sweep", "startup"], "wants KEY=VALUE,VALUE"),
        (["--sweep", "ttft=1s", "--sweep", "ttft=2s"], "given twice"),
        (["--sweep", "startup=60s,240s,60s"], "--sweep startup: 60s is named twice"),
        (["--sweep", "ttft=2 parsecs"], "spec.objectives.ttft.target"),
        (["--sweep", "rate=many"], "is no number"),
        (["--sweep", "rate=-1"], "must be above 0"),
        (["--sweep", "rate=nan"], "must be above 0"),
        (["--sweep", "rate=1e9"], "at most 10000"),
        (["--sweep", "seed=1e400"], "is no whole number from 0 on"),
        (["--sweep", "seed=-1"], "is no whole number from 0 on"),
        (["--ttft", "1s", "--sweep", "ttft=1s,2s"], "--ttft does not go with --sweep ttft"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(trace_file: Path, options: list[str], words: str) -> None:
    with pytest.raises(CliError) as refused:
        said(*engine(trace_file), *options)

    assert words in str(refused.value)


def test_history_needs_a_policy_that_says_whose(trace_file: Path) -> None:
    with pytest.raises(CliError, match="--trace prometheus needs --policy"):
        said(*engine(trace_file)[2:], "--trace", "prometheus")


@pytest.fixture
def monday_policy(tmp_path: Path) -> Path:
    """The demo's policy with five prefill replicas from ten past midnight on Mondays."""
    text = (resources.files("autoscaler.simulation") / "data" / "demo.yaml").read_text()
    rush = "{name: rush, days: [mon], from: '00:10', to: '24:00', prefill: {min: 5}}"
    (tmp_path / "monday.yaml").write_text(f"{text}  schedules: [{rush}]\n")
    return tmp_path / "monday.yaml"


def scheduled(trace_file: Path, policy: Path, *options: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(
        said("--trace", str(trace_file), "--policy", str(policy), "-o", "json", *options)
    )
    return record


def test_schedules_hold_by_the_clock_of_a_monday_where_the_load_has_no_date(
    trace_file: Path, monday_policy: Path
) -> None:
    monday = scheduled(trace_file, monday_policy)
    tuesday = scheduled(trace_file, monday_policy, "--from", "2026-11-24T00:00")

    assert monday["rows"][0]["gpu_hours"] > 1.3 * tuesday["rows"][0]["gpu_hours"]
    assert monday["remarks"] == [
        "Schedules hold as if the load began on Monday, 2024-01-01 00:00 UTC; --from names another instant."
    ]
    assert "Tuesday, 2026-11-24 00:00 UTC" in tuesday["remarks"][0]


def test_what_is_no_instant_is_refused_before_the_load_is_read(monday_policy: Path) -> None:
    with pytest.raises(CliError, match="--from monday: wants a date and a time"):
        said("--trace", "/nowhere/load.csv", "--policy", str(monday_policy), "--from", "monday")


def test_a_sweep_keeps_to_schedules_too(trace_file: Path, monday_policy: Path) -> None:
    (swept,) = scheduled(trace_file, monday_policy, "--sweep", "startup=180s")["rows"]
    (once,) = scheduled(trace_file, monday_policy)["rows"]

    assert swept["gpu_hours"] == once["gpu_hours"]


def test_requests_that_cannot_be_played_are_counted_under_the_table(trace_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "failed.csv"
    file.write_text(f"{trace_file.read_text()}1200,0,0\n1201,5,0\n")
    record = json.loads(said(*engine(file), "-o", "json"))

    (remark,) = record["remarks"]
    assert remark.startswith(f"2 of {record['requests'] + 2} requests of the file have no prompt or no answer")


def test_without_schedules_nothing_is_said_of_the_clock(trace_file: Path) -> None:
    assert "remarks" not in json.loads(said(*engine(trace_file), "-o", "json"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02T00:00", 86_400.0),
        ("1970-01-02", 86_400.0),
        ("1970-01-02T02:00+02:00", 86_400.0),
        ("1970-01-02T00:00:00Z", 86_400.0),
    ],
)
def test_an_instant_is_in_utc_where_it_names_no_zone(text: str, seconds: float) -> None:
    assert parse_instant_s(text) == seconds


@pytest.mark.parametrize("text", ["monday", "2026-13-01", "0001-01-01", "9999-12-31T23:59"])
def test_what_is_no_instant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CliError, match=rf"--from {text}: wants a date and a time, such as 2026-11-23T08:00"):
        parse_instant_s(text)
