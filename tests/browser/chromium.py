"""One headless Chromium for all pages of a test run, and what it finds out about a page."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Every text that is shown: its size, and the contrast of its colour to what is behind it (WCAG 2.2, 1.4.3).
_TEXTS = """
const parse = (text) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
};
const linear = (c) => c / 255 <= .03928 ? c / 255 / 12.92 : ((c / 255 + .055) / 1.055) ** 2.4;
const light = (colour) => colour.slice(0, 3).map(linear).reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
const over = ([r, g, b, a], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
const behind = (node) => {
  const layers = [];
  for (let at = node; at && at.nodeType === 1; at = at.parentElement) {
    layers.push(parse(getComputedStyle(at).backgroundColor));
  }
  return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
};
const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const parent = node.parentElement, style = getComputedStyle(parent), box = parent.getBoundingClientRect();
  if (!node.data.trim() || ["SCRIPT", "STYLE", "TITLE", "DESC", "title", "desc"].includes(parent.tagName)) continue;
  if (style.display === "none" || style.visibility === "hidden" || !box.width) continue;
  const under = behind(parent), ink = over(parse(parent instanceof SVGElement ? style.fill : style.color), under);
  const [dark, bright] = [light(ink), light(under)].sort((a, b) => a - b);
  found.push({text: node.data.trim(), size: parseFloat(style.fontSize), contrast: (bright + .05) / (dark + .05),
              right: box.right, left: box.left, scrolls: !!parent.closest(".scroll, pre")});
}
return found;
"""


@dataclass(frozen=True, slots=True)
class Look:
    """A page as it looks in one window.

    Attributes:
        width: Of the window, in CSS pixels.
        scroll_width: How wide the page is in it.
        texts: Every text shown, with `size`, `contrast`, `left`, `right` and whether it `scrolls` by itself.
        console: What the browser complained about.
        named: Role and accessible name of everything that needs one.
        background: Colour of the page.
    """

    width: int
    scroll_width: int
    texts: list[dict[str, Any]]
    console: list[dict[str, Any]]
    named: list[tuple[str, str]]
    background: str


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Start a browser with a profile of its own."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*_FLAGS, f"--user-data-dir={profile}", "--hide-scrollbars"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def look(driver: Chrome, url: str, width: int, scheme: str, media: str = "screen") -> Look:
    """Open a page in a window of a width, in light or dark, and everything in it that can be opened."""
    _window(driver, width, 900)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    _console(driver)
    driver.get(url)
    driver.execute_script("for (const found of document.querySelectorAll('details')) found.open = true")
    _window(driver, width, int(driver.execute_script("return document.documentElement.scrollHeight")))
    return Look(
        width,
        int(driver.execute_script("return document.documentElement.scrollWidth")),
        driver.execute_script(_TEXTS),
        _console(driver),
        _named(driver),
        driver.execute_script("return getComputedStyle(document.body).backgroundColor"),
    )


def printed(driver: Chrome, url: str) -> bytes:
    """The page as a PDF."""
    driver.get(url)
    answer = driver.execute_cdp_cmd(
        "Page.printToPDF", {"printBackground": True, "paperWidth": 8.27, "paperHeight": 11.7}
    )
    return base64.b64decode(answer["data"])


_NEED_NAMES = frozenset({"image", "img", "table", "region", "link", "button", "heading", "RootWebArea"})


def _named(driver: Chrome) -> list[tuple[str, str]]:
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored") and node.get("role", {}).get("value") in _NEED_NAMES
    ]


def _console(driver: Chrome) -> list[dict[str, Any]]:
    """What the console said since it was asked last."""
    said: list[dict[str, Any]] = driver.execute("getLog", {"type": "browser"})["value"]
    return said


def _window(driver: Chrome, width: int, height: int) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
