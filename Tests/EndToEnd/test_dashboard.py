"""The dashboard as visitors see it: in Debian's Chromium, over TLS, beside a working fleet."""

import json
import os
import urllib.request
from pathlib import Path

import pytest

import jobs
from batches import submit, wait
from browser import Browser
from processes import chat_line, eventually, tally

# What the issue allows a page, with everything that it loads, and until something is seen.
BUDGET_BYTES = 150_000
BUDGET_SECONDS = 1.0
PAGES = ("/", "/jobs", "/models", "/leaderboard", "/leaderboard?by=tokens&days=365", "/teams/1", "/account")
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
    fleet.tuning = jobs.wait(client, jobs.create(client, validation=jobs.examples(5))).id
    tally("account", "set", "ada", "--team", "Engines", "--data", fleet.coordinator.data)
    fleet.account_key = tally("account", "key", "ada", "--data", fleet.coordinator.data).stdout.strip()
    fleet.account = next(one["id"] for one in fleet.coordinator.statistics()["accounts"] if one["name"] == "ada")
    return fleet


def pages(fleet):
    worker = fleet.coordinator.statistics()["workers"][0]["id"]
    return (*PAGES, f"/jobs/{fleet.job}", f"/tuning/{fleet.tuning}", f"/workers/{worker}")


def sign_in(browser, coordinator, key):
    browser.open(coordinator.url + "/account")
    field = browser.driver.find_element("id", "key")
    field.send_keys(key)
    field.submit()


def name(path):
    return path.partition("?")[0].strip("/").replace("/", "-")[:12] or "fleet"


def keep(browser, page, look):
    if SCREENSHOTS:
        shade = "dark" if look.get("dark") else "light"
        browser.screenshot(Path(SCREENSHOTS) / f"{page}-{look['width']}-{shade}.png")


@pytest.mark.parametrize("look", [{"width": 1200}, {"width": 360}, {"width": 1200, "dark": True}], ids=str)
def test_every_page_is_within_its_budget_and_accessible(visited, browser, look):
    for path in pages(visited):
        browser.look(**look)
        browser.open(visited.coordinator.url + path)
        assert browser.first_paint_seconds() < BUDGET_SECONDS, path
        assert browser.transferred_bytes() < BUDGET_BYTES, path
        assert browser.accessibility_problems() == [], path
        assert browser.overflow() == 0, f"{path} is wider than a window of {look['width']}"
        assert browser.messages() == [], path
        keep(browser, name(path), look)


def test_an_account_opens_with_its_key_alone(visited, browser):
    browser.look()
    page = visited.coordinator.url + f"/accounts/{visited.account}"
    browser.open(page)
    assert "Account key" in browser.text() and "ada-machine" not in browser.text()
    sign_in(browser, visited.coordinator, visited.key)
    eventually(lambda: "This is not an account's key" in browser.text(), "an API key is told from an account's")
    sign_in(browser, visited.coordinator, visited.account_key)
    eventually(lambda: browser.driver.current_url == page, "the account's page opens")
    try:
        assert "ada-machine" in browser.text()
        for look in ({"width": 1200}, {"width": 360}, {"width": 1200, "dark": True}):
            browser.look(**look)
            browser.open(page)
            assert browser.first_paint_seconds() < BUDGET_SECONDS
            assert browser.transferred_bytes() < BUDGET_BYTES
            assert browser.accessibility_problems() == []
            assert browser.overflow() == 0
            assert browser.messages() == []
            keep(browser, "account", look)
        # Scripts of a page cannot read the key, and it is in no address.
        assert browser.driver.execute_script("return document.cookie") == ""
        assert visited.account_key not in browser.driver.page_source
        # Consent is taken back and given here.
        for is_named in (False, True):
            browser.driver.find_element("css selector", "input[type=checkbox]").click()
            browser.driver.find_element("xpath", "//button[text()='Save']").click()
            eventually(
                lambda is_named=is_named: is_named
                == ("ada" in [one["name"] for one in visited.coordinator.statistics()["accounts"]]),
                "the account's owner decides whether it is named",
            )
    finally:
        browser.driver.find_element("xpath", "//button[text()='Sign out']").click()
    eventually(lambda: "Account key" in browser.text(), "signed out")
    browser.open(page)
    assert "ada-machine" not in browser.text()


def test_the_operator_sees_who_is_not_named(fresh_fleet, browser):
    fresh_fleet.worker("ada")
    tally("account", "set", "ada", "--private", "--data", fresh_fleet.coordinator.data)
    browser.look()
    browser.open(fresh_fleet.coordinator.url + "/")
    eventually(lambda: "1 active worker of accounts that are not named" in browser.text(), "it is counted")
    assert "ada" not in browser.text()
    key = tally("admin", "page-key", "--data", fresh_fleet.coordinator.data).stdout.strip()
    sign_in(browser, fresh_fleet.coordinator, key)
    eventually(lambda: "ada-machine" in browser.text(), "the operator sees it")
    tally("admin", "page-key", "--revoke", "--data", fresh_fleet.coordinator.data)
    eventually(lambda: "ada-machine" not in browser.text(), "a page that is open forgets it with the key")


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
