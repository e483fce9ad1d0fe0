"""The page on failures names tests that are there, and every row names one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path("docs/failures.md")
ROWS = [
    line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| what"))
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_each_row_is_held_by_tests_that_are_there(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)

    assert named != []
    for file, test in named:
        assert f"def {test}" in Path(file).read_text()
