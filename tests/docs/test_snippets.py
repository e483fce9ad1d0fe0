"""Every command and snippet in README and docs is run, checked or parsed."""

from __future__ import annotations

import ast
import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.commands import COMMANDS, load
from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.main import app
from autoscaler.config.load import parse
from autoscaler.config.model import Spec
from autoscaler.daemon.holds import PREFIX, with_holds
from tests.adopt.conftest import add_scaled_object, engine, hpa
from tests.docs.markdown import ROOT, Block, Command, all_pages, blocks, commands, inline_commands, links, written_pages
from tests.support.kube import fake_cluster

PROGRAM = "pd-autoscaler"
SAMPLE = "docs/tour.md"
# Programs that are not ours: what they are needed for, and so why they are only parsed.
OTHERS = {
    "kubectl": "needs a cluster with the reader's own objects",
    "helm": "needs a cluster; the chart has tests of its own",
    "kustomize": "the overlays have tests of their own",
    "kind": "makes a cluster",
    "k3d": "makes a cluster",
    "docker": "needs a container engine",
    "oc": "needs OpenShift",
    "git": "is about the reader's checkout",
    "curl": "asks a running daemon",
    "jq": "reads what it answers",
    "python": "runs what has tests of its own",
    "python3": "makes the reader's environment",
    "venv/bin/pip": "installs into the reader's environment",
    "pip": "installs into the reader's environment",
    "pre-commit": "installs a hook into the reader's checkout",
    "uv": "locks requirements",
    "promtool": "the rules have tests of their own",
    "cd": "moves",
    "export": "sets a variable of the reader's shell",
    "cat": "shows a file",
    "sed": "edits what kubectl printed; tests/adopt runs it",
    "cp": "copies a file",
}
# Of our own, what does not end by itself or needs minutes; the rest is run.
NOT_RUN = {
    "run": "goes on until it is stopped",
    "demo": "plays minutes",
    "replay": "plays minutes",
    "release": "needs the memory of a daemon that has run",
}
LANGUAGES = {"sh", "yaml", "json", "toml", "python", "promql", "text", "console", "mermaid", "diff", "dockerfile"}
OPTIONAL_LANGUAGE = {"docs/architecture.md"}  # a drawing of the tree
# Parts of policies that cannot be checked here.
FRAGMENTS_ELSEWHERE = {
    "docs/plugins.md": "names a plug-in that a test of its own installs",
    "docs/profiles.md": "names a folder of the reader's",
}
PARSERS: dict[str, Callable[[str], object]] = {
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "json": json.loads,
    "toml": tomllib.loads,
    "python": ast.parse,
    "promql": promql_parser.parse,
}
BLOCKS = list(blocks(all_pages()))
SHELL = [command for block in BLOCKS if block.language == "sh" for command in commands(block)]
OURS = [command for command in SHELL if Path(command.words[0]).name == PROGRAM]


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def sample_policy() -> str:
    """The policy of the tour, which the commands of the other pages name."""
    return next(block.text for block in of("yaml") if block.page == SAMPLE)


def policy_documents(block: Block) -> Iterator[dict[str, Any]]:
    for document in yaml.safe_load_all(block.text):
        if isinstance(document, dict) and document.get("kind") == "ScalingPolicy":
            yield document


def merged(base: Any, change: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    return {**base, **{key: merged(base.get(key), value) for key, value in change.items()}}


def is_fragment_of_a_policy(block: Block) -> bool:
    document = yaml.safe_load(block.text) if "\n---" not in block.text else None
    known = {field.alias or name for name, field in Spec.model_fields.items()}
    return isinstance(document, dict) and bool(document) and (document.keys() <= known or set(document) == {"spec"})


def parse_ours(command: Command) -> str:
    """Let our own parser read a command; the name of the subcommand."""
    name = command.words[1]
    assert name in COMMANDS, f"{command}: there is no command {name}"
    load(name).make_context(name, list(command.words[2:]))
    return name


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_says_what_it_is(block: Block) -> None:
    assert block.language in LANGUAGES or (block.page in OPTIONAL_LANGUAGE and not block.language)


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_a_policy_passes_check(block: Block, tmp_path: Path) -> None:
    for at, document in enumerate(policy_documents(block)):
        file = tmp_path / f"{at}.yaml"
        file.write_text(yaml.safe_dump(document))
        result = CliRunner().invoke(app, ["check", str(file)])
        assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    "block",
    [block for block in of("yaml") if block.page not in FRAGMENTS_ELSEWHERE and is_fragment_of_a_policy(block)],
    ids=str,
)
def test_a_part_of_a_policy_passes_check_inside_of_one(block: Block, tmp_path: Path) -> None:
    fragment = yaml.safe_load(block.text)
    change = fragment if set(fragment) == {"spec"} else {"spec": fragment}
    file = tmp_path / "whole.yaml"
    file.write_text(yaml.safe_dump(merged(yaml.safe_load(sample_policy()), change)))

    result = CliRunner().invoke(app, ["check", str(file)])

    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in PARSERS], ids=str)
def test_a_block_parses_as_what_it_says_it_is(block: Block) -> None:
    PARSERS[block.language](block.text)


@pytest.mark.parametrize("command", OURS, ids=str)
def test_our_parser_takes_a_command(command: Command) -> None:
    if command.words[1:] != ("--version",):
        parse_ours(command)


@pytest.mark.parametrize("command", [one for one in SHELL if one not in OURS], ids=str)
def test_another_program_is_known_and_the_files_it_names_are_there(command: Command) -> None:
    program, *rest = command.words
    if "=" in program:
        return  # a variable for the command behind it
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in rest if re.fullmatch(r"[a-z-]+", word)} <= targets
    else:
        assert program in OTHERS, f"{command}: say in OTHERS why it is not run"
    for word in rest:
        if re.match(r"(deploy|policies|scripts|dashboards|examples|benchmarks)/[\w./-]+$", word):
            assert (ROOT / word).exists(), f"{command}: there is no {word}"


HOLDS = [word.split("=", 1) for command in SHELL for word in command.words if word.startswith(PREFIX)]


@pytest.mark.parametrize(("annotation", "value"), HOLDS)
def test_an_annotation_that_a_page_shows_is_understood(annotation: str, value: str) -> None:
    policy = parse(sample_policy().encode(), Path("sample.yaml")).policies[0].policy.core()

    assert with_holds(policy, {annotation: value}) != policy


def test_a_command_in_a_sentence_exists_with_its_options() -> None:
    for command in inline_commands(all_pages()):
        name = command.words[1]
        if name.isupper() or name.startswith("-"):
            continue
        assert name in COMMANDS, str(command)
        known = {option for param in load(name).params for option in (*param.opts, *param.secondary_opts)}
        used = {word.partition("=")[0] for word in command.words if word.startswith("-")} - {"--help"}
        assert used <= known, str(command)


@pytest.fixture
def readers_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the policies, and a cluster with what the pages import."""
    with fake_cluster() as cluster:
        for role in ("prefill", "decode"):
            cluster.create("deployments", engine(f"vllm-{role}"))
            cluster.create("horizontalpodautoscalers", hpa(f"{role}-hpa", f"vllm-{role}"))
            add_scaled_object(cluster, role, f"vllm-{role}")
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "kubeconfig")))
        monkeypatch.chdir(tmp_path)
        shutil.copytree(ROOT / "policies", tmp_path / "policies")
        (tmp_path / "llama-70b.yaml").write_text(sample_policy().replace("prometheus.monitoring:9090", "127.0.0.1:1"))
        yield tmp_path


RUN = list(
    dict.fromkeys(
        command.words
        for command in OURS
        if command.words[1] not in NOT_RUN and command.origin.partition(":")[0] in written_pages()
    )
)


@pytest.mark.usefixtures("readers_place")
@pytest.mark.parametrize("words", RUN, ids=" ".join)
def test_a_command_of_a_page_runs(words: tuple[str, ...]) -> None:
    """Without a Prometheus; what asks one has to say so, and not to break."""
    here = ["http://127.0.0.1:1" if word.startswith("http://") else word for word in words[1:]]

    result = CliRunner().invoke(app, here)

    if isinstance(result.exception, CliError):
        assert "cannot be reached" in str(result.exception)
        return
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in {ExitCode.OK, ExitCode.CHANGE, ExitCode.UNHEALTHY}, result.output


@pytest.mark.parametrize(("page", "to"), list(links(written_pages())))
def test_a_link_leads_somewhere(page: str, to: str) -> None:
    target = ((ROOT / page).parent / to).resolve()
    generated = {str((ROOT / path).resolve()) for path in all_pages()} | {
        str(ROOT / "docs" / name) for name in ("contributing.md", "changelog.md")
    }

    assert target.exists() or str(target) in generated


def test_a_page_outside_of_the_site_names_no_page_that_only_the_site_has() -> None:
    for page, to in links({path: text for path, text in written_pages().items() if not path.startswith("docs/")}):
        assert (ROOT / page).parent.joinpath(to).exists(), f"{page} links {to}"
