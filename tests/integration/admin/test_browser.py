"""The dashboard in a real browser: what a person with Chromium can do, and what they see."""

from __future__ import annotations

import os
import signal
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


@pytest.fixture
def looking(idle, browser):
    """Somebody who has signed in and looks at a rollout that runs."""
    if idle.rollout["status"] == "idle":
        idle.order("start")
    idle.order("weight", percent=1)
    browser.open(idle.admin_url + "/?lang=en")
    sign_in(browser)
    browser.until(f"!!document.querySelector('#state') && {WEIGHT} === '1 %'")
    return browser


WEIGHT = "document.querySelector('.weight strong').innerText"


def test_the_tab_says_what_the_page_says(idle, looking):
    """A weight that changes while somebody looks is in the title, too."""
    assert looking.js("document.title") == "Running 1 % - syncgate"
    idle.order("weight", percent=2)
    looking.until(f"{WEIGHT} === '2 %'")
    assert looking.js("document.title") == "Running 2 % - syncgate"


def test_what_somebody_marks_to_copy_stays_marked_and_is_said_to_be_old(idle, looking):
    """The page stands still while text of it is selected, says so with its age, and goes on."""
    looking.js("document.getSelection().selectAllChildren(document.querySelector('.why'))")
    marked = looking.js("document.getSelection().toString()")
    idle.order("weight", percent=3)
    looking.until("document.body.innerText.includes('stands still while')", within_s=12)
    assert looking.js("document.getSelection().toString()") == marked
    assert (looking.js(WEIGHT), looking.js("document.title")) == ("1 %", "Running 1 % - syncgate")
    assert int(looking.js("document.querySelector('#age').innerText.match(/\\d+/)[0]")) >= 5
    looking.js("document.getSelection().removeAllRanges()")
    looking.until(f"{WEIGHT} === '3 %'")
    assert "stands still" not in looking.text()


def test_what_was_scrolled_aside_stays_there_and_what_did_not_change_is_not_touched(idle, looking):
    """On a phone a table is read by scrolling it; a swap of its figures does not take it back."""
    looking.resize(400)
    table = "document.querySelector('[data-part=events] .scroll')"
    looking.js(f"{table}.dataset.mark = 'old'; {table}.scrollLeft = 40")
    untouched = "document.querySelector('[data-part=evidence]')"
    looking.js(f"{untouched}.marked = true")
    assert looking.js(f"{table}.scrollLeft") == 40
    idle.admin("/user-reports", {"severity": "minor", "text": "a new event " * 9})
    looking.until(f"{table}.dataset.mark === undefined")
    assert looking.js(f"{table}.scrollLeft") == 40
    assert looking.js(f"{untouched}.marked") is True


PALE = """
(() => {
  const light = (text) => text.match(/[\\d.]+/g).slice(0, 3)
    .map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (e) => e.matches('.badge') ? light(getComputedStyle(e).backgroundColor) : 1;
  const contrast = (e) => {
    const pair = [light(getComputedStyle(e).color), ground(e)].sort((a, b) => a - b);
    return (pair[1] + .05) / (pair[0] + .05);
  };
  const names = ['dim', 'pass', 'fail', 'error', 'inconclusive', 'critical', 'medium', 'down'];
  const made = names.map(name => Object.assign(document.createElement('p'), {className: name}));
  const badges = ['idle', 'running', 'paused', 'rolled_back', 'completed', 'emergency_stopped'];
  made.push(...badges.map(name => Object.assign(
    document.createElement('p'), {className: 'badge ' + name})));
  document.querySelector('main').append(...made);
  const pale = made.filter(e => contrast(e) < 4.5).map(e => e.className + ' ' + contrast(e));
  made.forEach(e => e.remove());
  return pale;
})()
"""
BROKEN = """
Array.from(document.querySelectorAll('td.level, .badge, td.n')).filter(e => {
  const text = document.createRange();
  text.selectNodeContents(e);
  return !e.children.length && new Set(Array.from(text.getClientRects(), r => r.top)).size > 1;
}).map(e => e.innerText)
"""


@pytest.mark.parametrize("path", ["/?lang=ja", "/reports/daily?lang=ja"])
def test_a_phone_shows_whole_words_in_line_and_in_readable_colours(idle, looking, path):
    """In Japanese at 400 px nothing breaks letter by letter, nothing sticks out of the page."""
    idle.order("rollback")
    looking.resize(400)
    looking.open(idle.admin_url + path)
    looking.until("!!document.querySelector('.badge.rolled_back')")
    assert looking.js(BROKEN) == []
    assert looking.js("document.documentElement.scrollWidth") == 400
    inner = "(e => e.getBoundingClientRect().x + parseFloat(getComputedStyle(e).paddingLeft))"
    footer = looking.js(f"{inner}(document.querySelector('footer'))")
    assert footer == looking.js(f"{inner}(document.querySelector('main'))") > 10
    assert looking.js(PALE) == []


def test_a_gateway_that_hangs_is_seen_to(idle, looking):
    """It keeps the connection and answers nothing: within seconds the page says so, and how old."""
    os.kill(idle.pid, signal.SIGSTOP)
    try:
        looking.until("document.body.innerText.includes('has not answered since')", within_s=9)
        looking.until("document.querySelector('#age').innerText.includes(' s old')")
    finally:
        os.kill(idle.pid, signal.SIGCONT)
    looking.until("!document.body.innerText.includes('has not answered since')")
