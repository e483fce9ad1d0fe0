from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.browser.chromium import Look, chromium, look
from tests.browser.pages import PAGES

Looks = Callable[[str, int, str], Look]


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="session")
def urls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("pages")
    found = {}
    for name, make in PAGES.items():
        file = folder / f"{name}.html"
        file.write_text(make(), encoding="utf-8")
        found[name] = file.as_uri()
    return found


@pytest.fixture(scope="session")
def looks(driver: Chrome, urls: dict[str, str]) -> Looks:
    """Each page is opened once per window."""
    seen: dict[tuple[str, int, str], Look] = {}

    def at(page: str, width: int, scheme: str) -> Look:
        key = (page, width, scheme)
        if key not in seen:
            seen[key] = look(driver, urls[page], width, scheme)
        return seen[key]

    return at
