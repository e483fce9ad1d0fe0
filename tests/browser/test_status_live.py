"""The status page as the daemon serves it: under its security policy, renewing itself."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait

from autoscaler.daemon.health import Document, HealthServer
from autoscaler.daemon.metrics.page import MetricsPage
from autoscaler.daemon.recent import Recent
from autoscaler.daemon.status_site import status_documents
from tests.browser.chromium import look
from tests.daemon.builders import START_S
from tests.daemon.test_health import Stand
from tests.daemon.test_status_page import tick

_HURRY = "window.setInterval = (renew) => { window.renew = renew; };"  # so that the test says when, not the clock


def test_it_says_so_when_the_daemon_hangs(driver: Chrome) -> None:
    stand, may_answer = Stand(), Event()
    stand.ledger.book(tick(), START_S, START_S)
    documents = status_documents(stand.ledger, Recent(), stand.clock, list)

    def slow(query: str) -> Document:
        if not first.is_set():
            may_answer.wait(30.0)
        first.clear()
        return documents["/"](query)

    first = Event()
    first.set()
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _HURRY})
    page = MetricsPage(stand.ledger)
    try:
        with HealthServer("127.0.0.1", 0, stand.ledger, page, stand.clock, documents={"/": slow}) as server:
            driver.get(f"http://{server.address}/")

            driver.execute_script("window.renew()")

            WebDriverWait(driver, 8).until(lambda shown: shown.find_element("id", "refresh").is_displayed())
            assert "s old" in driver.find_element("id", "refresh").text
            may_answer.set()
    finally:
        may_answer.set()
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_it_renews_itself_in_place_and_says_so_when_the_daemon_is_gone(driver: Chrome) -> None:
    stand, recent = Stand(), Recent()
    stand.ledger.book(tick(), START_S, START_S)
    for _ in range(3):
        recent.report(tick())
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _HURRY})
    documents = status_documents(stand.ledger, recent, stand.clock, list)
    server = HealthServer("127.0.0.1", 0, stand.ledger, MetricsPage(stand.ledger), stand.clock, documents=documents)
    try:
        with server:
            seen = look(driver, f"http://{server.address}/", 1280, "light")
            assert seen.console == []
            latest = tick()
            assert latest.decision is not None
            stand.ledger.book(replace(latest, decision=replace(latest.decision, undecided={})), START_S, START_S)
            stand.clock.at_s = START_S + 42.0

            driver.execute_script("return window.renew()")

            wait = WebDriverWait(driver, 5)
            wait.until(lambda page: "22:14:02" in page.find_element("css selector", "header").text)
            assert driver.find_element("css selector", "details").get_attribute("open") is not None
        # A spare connection that the browser had opened before may still be answered, once.
        renew = "return window.renew().then(() => !document.getElementById('refresh').hidden)"
        wait.until(lambda page: page.execute_script(renew))
        assert driver.find_element("id", "refresh").is_displayed()
        assert "s old" in driver.find_element("id", "refresh").text
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
