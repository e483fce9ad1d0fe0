"""The audit of requirements: what is found fails it and is named, and where nobody can be asked it says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.loopback import Reply, Request, json_reply, running_loopback

SCRIPT = Path("scripts/audit.sh")
INSTALLED = Path("build/audit/bin/pip-audit")
KNOWN = {"id": "GHSA-aaaa-bbbb-cccc", "fix_versions": ["2.0.1"], "aliases": [], "description": "stand-in"}
NOWHERE = "http://127.0.0.1:1"


def audit(folder: Path, requirements: Path, **environ: str) -> tuple[int, str]:
    """Exit code and what is said."""
    command = [str(SCRIPT), sys.executable, str(folder), str(requirements)]
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text(f"idna==3.10 --hash=sha256:{'0' * 64}\n")
    return path


def scripted(folder: Path, dependencies: list[dict[str, Any]] | None) -> Path:
    """An environment whose pip-audit finds these, or ends without a word."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    report = folder / "report.json"
    report.write_text(json.dumps({"dependencies": dependencies, "fixes": []}))
    copy = f'while [ "$1" != --output ]; do shift; done; cp {report} "$2"' if dependencies is not None else "exit 1"
    (programs / "pip-audit").write_text(f"#!/bin/sh\n{copy}\n")
    (programs / "pip-audit").chmod(0o755)
    return folder


def package(name: str, *vulnerabilities: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": list(vulnerabilities)}


def test_what_is_found_fails_it_and_is_named_with_the_version_that_mends_it(tmp_path: Path, requirements: Path) -> None:
    unfixed = {**KNOWN, "id": "PYSEC-2026-1", "fix_versions": []}
    folder = scripted(tmp_path, [package("idna", KNOWN), package("numpy"), package("rich", unfixed)])

    code, words = audit(folder, requirements)

    assert code == 1
    assert words.splitlines() == [
        "idna 1.0: GHSA-aaaa-bbbb-cccc, fixed in 2.0.1",
        "rich 1.0: PYSEC-2026-1, fixed in no version yet",
        "audit: 2 known vulnerabilities in 3 of 3 packages",
    ]


def test_where_nothing_is_found_it_says_how_much_was_looked_at(tmp_path: Path, requirements: Path) -> None:
    unknown = {"name": "ours", "skip_reason": "not on PyPI"}

    code, words = audit(scripted(tmp_path, [package("idna"), unknown]), requirements)

    assert (code, words) == (0, "audit: 0 known vulnerabilities in 1 of 2 packages\n")


@pytest.mark.parametrize(
    ("dependencies", "why"),
    [
        (None, "the database of vulnerabilities cannot be reached"),
        ([{"name": "idna", "skip_reason": "not found"}], "the database that is reached from here knows none"),
    ],
)
def test_where_nobody_can_be_asked_it_is_skipped_with_a_word(
    tmp_path: Path, requirements: Path, dependencies: list[dict[str, Any]] | None, why: str
) -> None:
    code, words = audit(scripted(tmp_path, dependencies), requirements)

    assert code == 0
    assert words.startswith(f"audit skipped: {why}")


def test_where_the_tool_cannot_be_installed_it_is_skipped_with_a_word(tmp_path: Path, requirements: Path) -> None:
    folder = tmp_path / "new"

    code, words = audit(folder, requirements, PIP_INDEX_URL=NOWHERE, PIP_RETRIES="0", PIP_CONFIG_FILE=os.devnull)

    assert (code, words) == (0, "audit skipped: pip-audit cannot be installed\n")


def advisory(request: Request) -> Reply:
    """OSV's answer to a query: one advisory for idna."""
    asked = json.loads(request.body)
    affected = [
        {
            "package": {"name": "idna", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.99"}]}],
        }
    ]
    found = {"id": KNOWN["id"], "modified": "2026-01-01T00:00:00Z", "summary": "stand-in", "affected": affected}
    vulnerabilities = [found] if asked["package"]["name"] == "idna" else []
    return json_reply({"vulns": vulnerabilities})


@pytest.mark.skipif(not INSTALLED.exists(), reason="make audit-test runs it, once pip-audit is there")
def test_pip_audit_itself_asks_the_mirror_that_is_named_and_fails_on_what_it_knows(requirements: Path) -> None:
    with running_loopback(advisory) as mirror:
        code, words = audit(INSTALLED.parents[1], requirements, AUDIT_OSV_URL=f"{mirror.url}/v1/query")

    assert code == 1
    assert "idna 3.10: GHSA-aaaa-bbbb-cccc, fixed in 3.99" in words


@pytest.mark.skipif(not INSTALLED.exists(), reason="make audit-test runs it, once pip-audit is there")
def test_pip_audit_itself_without_its_database_is_skipped_with_a_word(requirements: Path) -> None:
    code, words = audit(INSTALLED.parents[1], requirements, AUDIT_OSV_URL=f"{NOWHERE}/v1/query")

    assert (code, words) == (0, "audit skipped: the database of vulnerabilities cannot be reached\n")
