"""The dashboard: what a browser gets, with and without scripts, signed in or not."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlencode, urlsplit

import pytest

from gateway.admin import alerted, models
from gateway.admin.dashboard.page import fragment, page
from gateway.admin.dashboard.words import Words, language_of
from tests.support.gateway_process import call, until
from tests.support.rollout_state import rollout_state

ALERT = alerted.Alert.model_validate(
    {
        "id": 7, "rule": "error_rate", "system": "new", "level": "critical", "state": "open",
        "title": {"en": "Error rate too high", "ja": "エラー率の上昇"},
        "text": {"en": "The error rate is 7 %.", "ja": "エラー率は 7 % です。"},
        "value": 0.07, "threshold": 0.05, "sample": 900, "value_now": 0.06,
        "raised_at": "2026-11-21T01:00:00Z", "answer_by": "2026-11-21T01:15:00Z", "step": 1,
        "asked": ["tanaka-san"], "acknowledged": None, "ended_at": None, "lasted_s": 200.0,
        "todo": "syncgate status",
    }
)  # fmt: skip


def _poisoned(alert: alerted.Alert, hostile: str) -> alerted.Alert:
    """The same with that text wherever there is one."""
    words = alerted.Sentence(en=hostile, ja=hostile)
    changes = {"title": words, "text": words, "asked": [hostile], "todo": hostile}
    return alert.model_copy(update=changes)


def _browse(url: str, method: str, path: str, form: dict | None = None, **headers: str):
    """Send one request without following redirects; status, headers, text."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=10)
    body = urlencode(form).encode() if form is not None else None
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def test_without_tokens_the_page_is_there_with_its_policy(open_gateway):
    """Nothing inline, nothing framed, nothing cached, the state in it."""
    status, headers, text = _browse(open_gateway.admin_url, "GET", "/")
    assert status == 200
    assert "Idle" in text
    assert "syncgate start" in text
    assert '<meta http-equiv="refresh"' in text
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert not re.search(r"<script>|\son\w+=|style=", text)
    for file in ("/dashboard/style.css", "/dashboard/refresh.js"):
        assert call(open_gateway.admin_url + file).status == 200
    assert call(open_gateway.admin_url + "/dashboard/page.py").status == 404
    assert call(open_gateway.admin_url + "/", Host="rebound.example").status == 403


def test_the_language_is_the_browsers_or_the_addresss(open_gateway):
    """Japanese operators need not ask for it."""
    for path, headers in (("/", {"Accept-Language": "ja,en;q=0.5"}), ("/?lang=ja", {})):
        _, _, text = _browse(open_gateway.admin_url, "GET", path, **headers)
        assert '<html lang="ja">' in text
        assert "待機中" in text


def test_a_token_is_exchanged_for_a_cookie_that_only_reads(gateway):
    """The page asks, a wrong token is refused, a right one gives a strict cookie."""
    url = gateway.admin_url
    status, _, text = _browse(url, "GET", "/")
    assert (status, 'type="password"' in text) == (401, True)
    assert _browse(url, "GET", "/fragment")[0] == 401
    assert _browse(url, "POST", "/login", {"token": "nonsense"})[0] == 401
    assert _browse(url, "POST", "/login", {"token": "an-expired-token"})[0] == 401
    status, headers, _ = _browse(url, "POST", "/login", {"token": "a-viewer-token"})
    assert status == 303
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "a-viewer-token" not in cookie
    signed = {"Cookie": cookie.partition(";")[0]}
    status, _, text = _browse(url, "GET", "/", **signed)
    assert (status, "/logout" in text) == (200, True)
    assert _browse(url, "GET", "/fragment", **signed)[0] == 200
    assert call(f"{url}/api/v1/rollout", **signed).status == 401
    assert _browse(url, "POST", "/logout", {}, **signed)[0] == 303
    assert _browse(url, "GET", "/fragment", **signed)[0] == 401


@pytest.mark.parametrize("path", ["/login", "/logout"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_strangers_form_is_refused_with_a_page(gateway, path, headers):
    """Signing somebody in from another site is no convenience; whoever meets it can read why."""
    headers |= {"Accept-Language": "ja"}
    status, got, text = _browse(
        gateway.admin_url, "POST", path, {"token": "a-viewer-token"}, **headers
    )
    assert (status, "set-cookie" in got) == (403, False)
    assert got["content-type"].startswith("text/html")
    assert "別のサイト" in text


def test_the_browsers_own_word_holds_behind_a_proxy(gateway):
    """A proxy that changes `Host` does not make our own form a stranger's."""
    form = {"token": "a-viewer-token"}
    headers = {"Origin": "https://sync.example", "Sec-Fetch-Site": "same-origin"}
    assert _browse(gateway.admin_url, "POST", "/login", form, **headers)[0] == 303


@pytest.mark.parametrize(
    ("to", "led"),
    [
        ("/?lang=ja", "/?lang=ja"),
        ("/reports/weekly?lang=ja&at=2026-11-20", "/reports/weekly?lang=ja&at=2026-11-20"),
        ("/reports/weekly?at=1&x=2", "/reports/weekly?at=1"),
        ("//evil.example/", "/"),
        ("https://evil.example/reports/daily", "/"),
        ("/\\evil.example", "/"),
        ("/api/v1/rollout", "/"),
        ("javascript:alert(1)", "/"),
        ("http://[", "/"),
    ],
)
def test_signing_in_leads_to_the_page_that_was_wanted_and_nowhere_else(gateway, to, led):
    """A form may name a page of ours; a stranger's address is never followed."""
    form = {"token": "a-viewer-token", "to": to}
    status, headers, _ = _browse(gateway.admin_url, "POST", "/login", form)
    assert (status, headers["location"]) == (303, led)


def test_who_is_not_signed_in_is_asked_where_he_wanted_to_go(gateway):
    """The page asks in the language of the address and remembers both; a wrong token keeps them."""
    path = "/reports/weekly?lang=ja&at=2026-11-20"
    status, headers, asked = _browse(gateway.admin_url, "GET", path)
    assert status == 401
    assert "www-authenticate" not in headers
    form = {"token": "wrong", "to": path}
    _, _, again = _browse(gateway.admin_url, "POST", "/login?lang=ja", form)
    for text in (asked, again):
        assert '<html lang="ja">' in text
        assert 'value="/reports/weekly?lang=ja&amp;at=2026-11-20"' in text
    assert _browse(gateway.admin_url, "GET", "/login?lang=ja")[1]["location"] == "/?lang=ja"


def test_what_people_typed_is_inert(idle):
    """A reason is text, whatever it looks like."""
    if idle.rollout["status"] == "idle":
        idle.order("start")
    idle.order("weight", percent=1, reason='<img src=x onerror="alert(1)">')
    text = '<script>alert("1")</script>'
    idle.admin("/user-reports", {"severity": "minor", "text": text})
    until(lambda: any(text in event["text"] for event in idle.rollout["events"]))
    _, headers, _ = _browse(idle.admin_url, "POST", "/login", {"token": "a-viewer-token"})
    signed = {"Cookie": headers["set-cookie"].partition(";")[0]}
    _, _, shown = _browse(idle.admin_url, "GET", "/fragment", **signed)
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_part_of_a_busy_rollout_is_on_the_page(language):
    """Gates, evidence, decisions and events, each with its words."""
    state = rollout_state(override=True, read_weight_percent=50.0, next_command="syncgate promote")
    shown = page(
        models.Rollout.model_validate(state), Words(language), alerts=[ALERT], signed_in=True
    )
    for part in ("syncgate ack 7", "tanaka-san", "#7"):
        assert part in shown
    for part in ("sync-time", "1.42 x", "error-rate-2", "#3", "tanaka", "<meter", "<progress"):
        assert part in shown


MIRRORED = {
    "on": True, "to": "new", "rate": 1.0, "dry_run": True, "why_off": None, "proven": True,
    "means": "rollback",
    "traffic": {
        "sent": 1437, "compared": 1430, "dropped": {"queue_full": 7}, "in_flight": 1,
        "waiting": 2, "held_bytes": 1048576,
    },
    "write_back": {
        "needed": True, "why": {"en": "On.", "ja": "実行中。"}, "on": True, "agreed": 12,
        "failed": 1, "failed_by_reason": {"timeout": 1}, "waiting": 0, "held_bytes": 0,
        "open": 0, "open_since": None, "cleared": 0, "repaired": 5, "repaired_at": None,
        "trouble": "",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "parts"),
    [
        ("en", ("new (mirrored copies, too)", "1,437 sent, 1,430 compared", "5 rows repaired")),
        ("ja", ("new (ミラー分を含む)", "送信 1,437、比較 1,430", "修復済み 5 行")),
    ],
)
def test_copies_are_named_beside_the_traffic_they_look_like(language, parts):
    """Requests of new at weight 0 are mirrored ones, and the page says what became of them."""
    state = models.Rollout.model_validate(rollout_state(mirror=MIRRORED))
    shown = fragment(state, Words(language), alerts=[])
    for part in (*parts, "queue_full 7"):
        assert part in shown
    assert "1,437" not in _shown(language=language)
    off = {**MIRRORED, "on": False, "why_off": "<b>", "traffic": None, "write_back": None}
    assert "&lt;b&gt;" in _shown(language=language, mirror=off)
    lost = {**MIRRORED["write_back"], "open": 3, "needed": False}
    assert _shown(mirror={**MIRRORED, "write_back": lost}).count("On.") == 1
    assert "disk full" in _shown(
        mirror={**MIRRORED, "write_back": {**lost, "trouble": "disk full"}}
    )


def _shown(*, language: str = "en", alerts=(), **changes) -> str:
    state = models.Rollout.model_validate(rollout_state(**changes))
    return fragment(state, Words(language), alerts=list(alerts))


def test_an_alert_that_nobody_has_is_something_to_do():
    """The page does not say that there is nothing to do above one; what moves the rollout leads."""
    assert "Nothing to do now." in _shown()
    assert "Run <code>syncgate ack 7" in _shown(alerts=[ALERT])
    assert "Nothing to do now." not in _shown(alerts=[ALERT])
    assert "Run <code>syncgate resume" in _shown(alerts=[ALERT], next_command="syncgate resume")
    taken = ALERT.model_copy(update={"state": alerted.AlertState.ACKNOWLEDGED})
    assert "Nothing to do now." in _shown(alerts=[taken])


def test_a_gate_speaks_in_its_unit_and_the_time_that_is_left():
    """Seconds are no bare numbers; healthy time that goes on is no lack of data."""
    gates = rollout_state()["gates"]
    gates[1] |= {"basis": "value", "value": 3211.0, "threshold": 300.0}
    gates[3] |= {"name": "bake_time"}
    shown = _shown(gates=gates)
    for part in ("3,211.0 s", "&lt;= 300.0 s", "? 2.96 d left", "? too little data"):
        assert part in shown


def test_hostile_text_is_escaped_everywhere():
    """Every string of the state, at once."""
    hostile = '"><script>alert(1)</script>'

    def poison(value):
        if isinstance(value, dict):
            return {key: poison(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return hostile if isinstance(value, str) else value

    clean = models.Rollout.model_validate(rollout_state()).model_dump(mode="python")
    keep = {"status", "verdict", "system"}

    def merge(good, bad):
        if isinstance(good, dict):
            return {
                key: item if key in keep else merge(item, bad[key]) for key, item in good.items()
            }
        if isinstance(good, list):
            return [merge(one, other) for one, other in zip(good, bad, strict=True)]
        return bad

    state = models.Rollout.model_validate(merge(clean, poison(clean)))
    alerts = [_poisoned(ALERT, hostile)]
    assert "<script" not in fragment(state, Words("en"), alerts=alerts)
    assert "<script" not in page(state, Words("ja"), alerts=alerts, signed_in=False).replace(
        '<script src="/dashboard/refresh.js" defer></script>', ""
    )


@pytest.mark.parametrize(
    ("asked", "accept", "language"),
    [("ja", "en", "ja"), (None, "ja-JP,ja", "ja"), (None, None, "en"), ("xx", "ja", "en")],
)
def test_the_address_outranks_the_browser(asked, accept, language):
    """`?lang=` wins."""
    assert language_of(asked, accept) == language
