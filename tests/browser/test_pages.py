"""Every page in a real browser, in a window and on a telephone, light and dark, and on paper."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains

from tests.browser.chromium import look, printed
from tests.browser.conftest import Looks
from tests.browser.pages import PAGES

WINDOWS = [(1280, "light"), (390, "dark"), (390, "light"), (1280, "dark")]

pages = pytest.mark.parametrize("page", PAGES)
windows = pytest.mark.parametrize(("width", "scheme"), WINDOWS)


@pages
@windows
def test_nothing_is_cut_off_or_needs_sideways_scrolling(looks: Looks, page: str, width: int, scheme: str) -> None:
    seen = looks(page, width, scheme)

    assert seen.scroll_width <= width
    assert [
        text for text in seen.texts if not text["scrolls"] and not -1 <= text["left"] <= text["right"] <= width + 1
    ] == []


@pages
@windows
def test_every_text_is_large_enough_and_stands_out(looks: Looks, page: str, width: int, scheme: str) -> None:
    texts = looks(page, width, scheme).texts

    assert len(texts) > 20
    assert [text for text in texts if text["size"] < 11] == []
    assert [text for text in texts if text["contrast"] < 4.5] == []


@pages
@windows
def test_the_console_stays_silent(looks: Looks, page: str, width: int, scheme: str) -> None:
    assert looks(page, width, scheme).console == []


@pages
def test_everything_that_needs_a_name_has_one(looks: Looks, page: str) -> None:
    named = looks(page, 1280, "light").named

    assert [role for role, name in named if not name] == []
    assert {role for role, _ in named} >= {"heading", "RootWebArea"}


@pages
def test_dark_is_dark_and_light_is_light(looks: Looks, page: str) -> None:
    assert looks(page, 1280, "light").background == "rgb(255, 255, 255)"
    assert looks(page, 1280, "dark").background == "rgb(20, 23, 27)"


@pages
def test_on_paper_it_is_black_on_white_even_for_who_reads_in_the_dark(
    driver: Chrome, urls: dict[str, str], page: str
) -> None:
    seen = look(driver, urls[page], 720, "dark", media="print")  # A4 less its margins

    assert seen.background == "rgb(255, 255, 255)"
    assert seen.scroll_width <= 720
    assert [text for text in seen.texts if text["contrast"] < 4.5] == []
    assert printed(driver, urls[page]).startswith(b"%PDF-")


def test_the_pointer_reads_values_off_a_chart(driver: Chrome, urls: dict[str, str]) -> None:
    look(driver, urls["replay"], 1280, "light")
    chart = driver.find_element("css selector", ".canvas")

    ActionChains(driver).move_to_element(chart).perform()

    readout = chart.find_element("css selector", ".readout")
    assert readout.is_displayed()
    assert "pd-autoscaler: " in readout.text
