"""The dashboard in a real browser: what a person with Chromium can do, and what they see."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.integration.admin.test_alerts import link_of, rolled_back
from tests.support.browser import Browser


@pytest.fixture
def browser(tmp_path):
    """A fresh browser; its profile goes with the test."""
    with Browser(tmp_path / "profile") as found:
        yield found


def sign_in(browser, token: str = "a-viewer-token") -> None:
    """Type the token and press the button."""
    browser.type("input[name=token]", token)
    browser.click("main form button")


def test_a_person_signs_in_looks_changes_the_language_and_leaves(idle, browser):
    """The form of the page itself is accepted, from the first look to the sign-in asked again."""
    browser.open(idle.admin_url + "/")
    sign_in(browser, "a-wrong-token")
    browser.until("document.body.innerText.includes('That token is not valid')")
    sign_in(browser)
    browser.until("!!document.querySelector('#state')")
    assert browser.js("location.pathname") == "/"
    browser.click("nav a[hreflang]")
    browser.until("document.documentElement.lang === 'ja' && !!document.querySelector('#state')")
    browser.click("nav form button")
    browser.until("!!document.querySelector('input[name=token]')")
    assert browser.js("document.documentElement.lang") == "ja"
    browser.open(idle.admin_url + "/fragment")
    assert "401" in browser.text()


def test_signing_in_leads_to_the_report_that_was_wanted(idle, browser):
    """A link to a report in Japanese ends at that report, in Japanese."""
    browser.open(idle.admin_url + "/reports/weekly?lang=ja")
    sign_in(browser)
    browser.until("location.pathname === '/reports/weekly' && !document.querySelector('form')")
    assert browser.js("document.documentElement.lang") == "ja"


def test_the_form_behind_a_link_is_taken_from_a_browser(idle, browser):
    """Whoever opens the link of a message types a name and has the alert."""
    link = urlsplit(link_of(idle, rolled_back(idle)["id"]))
    browser.open(f"{idle.admin_url}{link.path}?{link.query}")
    browser.type("input[name=name]", "田中")
    browser.click("form button")
    browser.until("document.body.innerText.includes('Thank you')")
    assert idle.admin("/alerts").json["items"][0]["acknowledged"]["by"] == "田中 (link)"
