"""The dashboard as visitors see it: in Debian's Chromium, over TLS, beside a working fleet."""

import json
import os
import urllib.request
from pathlib import Path

import pytest

from batches import submit, wait
from browser import Browser
from processes import chat_line, eventually

# What the issue allows a page, with everything that it loads, and until something is seen.
BUDGET_BYTES = 150_000
BUDGET_SECONDS = 1.0
PAGES = ("/", "/jobs", "/models")
# A folder for screenshots to look at; none are kept without it.
SCREENSHOTS = os.environ.get("TALLY_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="module")
def visited(fleet):
    """The shared fleet with a job that has ended."""
    client = fleet.client()
    batch = wait(client, submit(client, [chat_line(f"page-{i}", max_tokens=8) for i in range(6)]))
    assert batch.status == "completed"
    fleet.job = batch.id
    return fleet


def pages(fleet):
    return (*PAGES, f"/jobs/{fleet.job}")


def name(path):
    return path.strip("/").split("/")[0] or "fleet"


@pytest.mark.parametrize("look", [{"width": 1200}, {"width": 360}, {"width": 1200, "dark": True}], ids=str)
def test_every_page_is_within_its_budget_and_accessible(visited, browser, look):
    for path in pages(visited):
        browser.look(**look)
        browser.open(visited.coordinator.url + path)
        assert browser.first_paint_seconds() < BUDGET_SECONDS, path
        assert browser.transferred_bytes() < BUDGET_BYTES, path
        assert browser.accessibility_problems() == [], path
        assert browser.overflow() == 0, f"{path} is wider than a window of {look['width']}"
        said = [message for message in browser.messages() if "401" not in message]
        assert said == [], path
        if SCREENSHOTS:
            shade = "dark" if look.get("dark") else "light"
            browser.screenshot(Path(SCREENSHOTS) / f"{name(path)}-{look['width']}-{shade}.png")


def test_a_page_says_the_same_without_script(visited):
    browser = Browser(script=False)
    try:
        for path, words in (("/", "The fleet now"), (f"/jobs/{visited.job}", "Work units"), ("/models", "tiny")):
            browser.open(visited.coordinator.url + path)
            assert words in browser.driver.find_element("css selector", "main").text
            # A control that could do nothing is not offered.
            assert not browser.driver.find_element("id", "live").is_displayed()
    finally:
        browser.close()


def test_progress_is_seen_without_loading_again(fresh_fleet, browser):
    client = fresh_fleet.client()
    batch = submit(client, [chat_line(f"live-{i}", max_tokens=8) for i in range(4)])
    browser.look()
    browser.open(fresh_fleet.coordinator.url + f"/jobs/{batch.id}")
    browser.driver.execute_script("window.notLoadedAgain = true")
    eventually(lambda: "No worker of the public pool" in browser.text(), "the page says why the job waits")
    fresh_fleet.worker("ada")
    eventually(lambda: "One result is here" in browser.text(), "the page says that a second account is wanted")
    assert "ada-machine of ada" in browser.text()
    fresh_fleet.worker("grace")
    eventually(lambda: "completed" in browser.text(), "the page shows the end")
    assert "4 of 4 requests answered" in browser.text()
    assert browser.driver.execute_script("return window.notLoadedAgain") is True
    assert browser.messages() == []


def test_live_updates_can_be_paused(visited, browser):
    browser.look()
    browser.open(visited.coordinator.url + "/")
    button = browser.driver.find_element("css selector", "#live button")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert "Paused." in browser.text("#live")


def events(coordinator, path):
    """The stream that a page's script reads."""
    request = urllib.request.Request(coordinator.url + path, headers={"Accept": "text/event-stream"})
    return urllib.request.urlopen(request, context=coordinator.context, timeout=30)


def test_a_stream_ends_with_the_coordinator(fresh_fleet):
    with events(fresh_fleet.coordinator, "/") as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.readline() == b"retry: 3000\n"
        assert stream.readline() == b"event: main\n"
        main = json.loads(stream.readline().removeprefix(b"data: "))
        assert "The fleet now" in main
        assert "<html" not in main
        # An open page must not keep the coordinator from ending.
        fresh_fleet.coordinator.stop()
        stream.read()
