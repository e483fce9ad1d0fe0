from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from autoscaler import __version__
from autoscaler.cli.commands import COMMANDS
from autoscaler.cli.exits import CliError, ExitCode
from autoscaler.cli.main import app, main

HEAVY = ("kubernetes", "numpy", "prometheus_api_client", "apscheduler", "numba")


def invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner(env={"TERM": "dumb", "COLUMNS": "120"}).invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_the_version_is_one_line_on_stdout() -> None:
    assert invoke("--version") == (0, f"pd-autoscaler {__version__}\n", "")


def test_help_names_every_command_and_the_exit_codes() -> None:
    code, out, _ = invoke("--help")

    assert code == 0
    assert all(name in out for name in COMMANDS)
    assert "10 a change is recommended" in out


def test_no_arguments_show_the_help() -> None:
    _, out, err = invoke()

    assert "recommend" in out + err


@pytest.mark.parametrize("arguments", [["rum"], ["--nonsense"], ["recommend", "--nonsense"]])
def test_wrong_usage_ends_with_2_and_a_message_on_stderr(arguments: list[str]) -> None:
    code, out, err = invoke(*arguments)

    assert code == ExitCode.REFUSED
    assert out == ""
    assert "No such" in err


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    assert "recommend" in invoke("reccomend")[2]


def test_an_expected_error_is_one_message_without_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pd-autoscaler", "recommend", "/nowhere/policy.yaml"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == ExitCode.REFUSED
    assert "Traceback" not in capsys.readouterr().err


def test_an_error_carries_its_exit_code() -> None:
    assert CliError("no").code == ExitCode.REFUSED


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_is_not_held_up_by_what_it_does_not_need(arguments: list[str]) -> None:
    program = (
        "import sys; from autoscaler.cli.main import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stderr == "[]\n"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = line.replace("pd-autoscaler", f"{sys.executable} -m autoscaler")
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, encoding="utf-8", check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("pd-autoscaler --version > /dev/full", "No space left on device"),
        ("pd-autoscaler schema > /dev/full", "No space left on device"),
        ("pd-autoscaler --help > /dev/full", "No space left on device"),
        ("pd-autoscaler schema >&-", "Bad file descriptor"),
    ],
)
def test_output_that_cannot_be_written_is_one_line_and_exit_code_1(line: str, why: str) -> None:
    done = shell(line)

    assert (done.returncode, done.stderr) == (ExitCode.UNWRITTEN, f"error: the output cannot be written: {why}\n")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("pd-autoscaler check /nowhere.yaml 2>&-", ExitCode.REFUSED),
        ("pd-autoscaler --version 2>&-", ExitCode.OK),
        ("pd-autoscaler explain /nowhere.yaml >&-", ExitCode.REFUSED),
        ("pd-autoscaler check /nowhere.yaml 2> /dev/full", ExitCode.UNWRITTEN),
        ("pd-autoscaler --version >&- 2>&-", ExitCode.UNWRITTEN),
    ],
)
def test_a_stream_that_is_closed_is_no_traceback(line: str, code: ExitCode) -> None:
    done = shell(line)

    assert done.returncode == code
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception ignored" not in done.stdout + done.stderr


def test_a_reader_that_has_seen_enough_is_no_error_to_speak_of() -> None:
    assert shell("pd-autoscaler schema | head -c 1").stderr == ""


def test_output_is_utf_8_whatever_the_locale() -> None:
    done = shell("pd-autoscaler schema", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")

    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    assert not done.stdout.isascii()


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "autoscaler", "--version"], capture_output=True, text=True, check=True)

    assert done.stdout == f"pd-autoscaler {__version__}\n"
