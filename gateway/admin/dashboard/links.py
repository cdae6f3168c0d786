"""
The page behind a signed link: what is wrong, and one button to take it.

Looking changes nothing, for mail scanners and previews look, too; taking it is a form that carries
the same signature. There is no cookie and no token, so there is nothing that a stranger's page
could make a browser send along.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import HTMLResponse
from starlette.routing import Route

from gateway.admin import alerted
from gateway.admin.dashboard.forms import HEADERS, read_fields
from gateway.admin.dashboard.words import Words, language_of
from gateway.admin.intake import MAX_USER_AGENT, peer_of
from gateway.core.alerts import incident_from_json
from gateway.errors import RefusedError, SyncgateError
from gateway.ports import Actor
from gateway.ports.alerts import LinkState

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gateway.core.alerts import Incident
    from gateway.ports import Clock
    from gateway.ports.alerts import AlertDesk, AlertLinks

# The address of such a page is a key of its own; and its form is believed by it, not by its origin.
_HEADERS: Final = {**HEADERS, "Referrer-Policy": "no-referrer"}
_NAME_MAX: Final = 60
_REASON_MAX: Final = 300
_LOOKED_BACK: Final = 500

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "wrong": ("This link is not valid", "このリンクは無効です"),
    "wrong_todo": (
        "It was changed on its way. Open it from the message, or run `syncgate ack ID`.",
        "途中で変更されています。メッセージから開き直すか、`syncgate ack ID` を実行してください。",
    ),
    "expired": ("This link has expired", "このリンクは期限切れです"),
    "expired_todo": (
        "Open a newer message, or run `syncgate ack ID --reason ...`.",
        "新しいメッセージから開くか、`syncgate ack ID --reason ...` を実行してください。",
    ),
    "unknown": ("This alert is not known any more", "このアラートはもうありません"),
    "unknown_todo": (
        "See `syncgate alerts` for what is open.",
        "未解決のものは `syncgate alerts` で確認できます。",
    ),
    "over": ("It is over; nothing needs to be done.", "解消済みです。対応は不要です。"),
    "taken": ("has taken it", "が対応中です"),
    "thanks": ("Thank you, it is yours now.", "ありがとうございます。引き受けました。"),
    "take": ("Take it", "引き受ける"),
    "who": ("Your name", "お名前"),
    "note": ("What you will do (optional)", "対応予定(任意)"),
    "missing": ("Please give your name.", "お名前を入力してください。"),
    "next": ("Next", "次の操作"),
    "since": ("since", "発生"),
    "system": ("system", "対象"),
    "whole": ("the whole", "全体"),
    "later": (
        "It could not be stored just now; try again in a moment.",
        "保存できませんでした。少し待って再度お試しください。",
    ),
}


class LinkPages:
    """Answers signed links."""

    def __init__(self, desk: AlertDesk, links: AlertLinks, clock: Clock) -> None:
        self._desk = desk
        self._links = links
        self._clock = clock

    def routes(self) -> list[Route]:
        """Give the address of links."""
        return [
            Route("/a/{uid}", self.look, methods=["GET"]),
            Route("/a/{uid}", self.take, methods=["POST"]),
        ]

    async def look(self, request: Request) -> Response:
        """Show the alert; changes nothing."""
        return await self._answer(request, form=None)

    async def take(self, request: Request) -> Response:
        """Acknowledge it."""
        return await self._answer(request, form=await read_fields(request))

    async def _answer(self, request: Request, form: dict[str, str] | None) -> Response:
        asked = request.query_params.get("lang")
        say = Words(language_of(asked, request.headers.get("accept-language")))
        uid = request.path_params["uid"]
        until, signature = (request.query_params.get(name, "") for name in ("e", "s"))
        state = self._links.check(uid, until, signature, now_us=self._clock.now_us())
        if state is not LinkState.GOOD:
            code = 410 if state is LinkState.EXPIRED else 403
            return _refusal(say, state.value, code)
        try:
            incident = await self._find(uid)
        except SyncgateError:
            return _refusal(say, "unknown", 503)
        if incident is None:
            return _refusal(say, "unknown", 404)
        if form is None or incident.ended_us is not None or incident.ack is not None:
            return self._page(request, say, incident)
        return await self._taken(request, say, incident, form)

    async def _find(self, uid: str) -> Incident | None:
        for incident in self._desk.view().book.open:
            if incident.uid == uid:
                return incident
        for ended in await self._desk.ended(limit=_LOOKED_BACK):
            if ended.document.get("uid") == uid:
                return incident_from_json(ended.document)
        return None

    async def _taken(
        self, request: Request, say: Words, incident: Incident, form: dict[str, str]
    ) -> Response:
        name, reason = _field(form, "name", _NAME_MAX), _field(form, "reason", _REASON_MAX)
        if not name:
            return self._page(request, say, incident, notice="missing", status=422)
        agent = request.headers.get("user-agent", "")[:MAX_USER_AGENT]
        actor = Actor(f"{name} (link)", ip=peer_of(request) or None, user_agent=agent or None)
        try:
            taken = await self._desk.acknowledge(
                incident.number, by=actor, reason=reason or "by the link in the message"
            )
        except RefusedError:
            # Somebody was faster, or it has just ended: the page says which.
            return self._page(request, say, await self._find(incident.uid) or incident)
        except SyncgateError:
            return self._page(request, say, incident, notice="later", status=503)
        return self._page(request, say, taken, notice="thanks")

    def _page(
        self,
        request: Request,
        say: Words,
        incident: Incident,
        *,
        notice: str = "",
        status: int = 200,
    ) -> Response:
        one = alerted.one_alert(incident, self._desk.view())
        japanese = say.language == "ja"
        title, why = (each.ja if japanese else each.en for each in (one.title, one.text))
        system = one.system.value if one.system else _say(say, "whole")
        since = f"{one.raised_at:%Y-%m-%d %H:%M:%S} UTC"
        body = (
            f'<h1>syncgate</h1><h2><span class="{_e(one.level.value)}">{_e(say(one.level.value))}'
            f'</span> #{one.id} {_e(title)}</h2><p class="why">{_e(why)}</p>'
            f'<p class="dim">{_e(_say(say, "system"))}: {_e(system)} · '
            f"{_e(_say(say, 'since'))}: {_e(since)}</p>"
        )
        if notice:
            body += f'<p class="notice" role="status">{_e(_say(say, notice))}</p>'
        if one.ended_at is not None:
            ended = f"{one.ended_at:%Y-%m-%d %H:%M:%S} UTC"
            return _html(say, title, f"{body}<p>{_e(_say(say, 'over'))} ({ended})</p>", status)
        if one.acknowledged is not None:
            who, reason = one.acknowledged.by, one.acknowledged.reason
            body += f"<p><strong>{_e(who)}</strong> {_e(_say(say, 'taken'))}: {_e(reason)}</p>"
        else:
            body += _form(request, say)
        body += f'<p class="do">{_e(_say(say, "next"))} <code>{_e(one.todo)}</code></p>'
        return _html(say, title, body, status)


def _form(request: Request, say: Words) -> str:
    uid = quote(request.path_params["uid"], safe="")
    query = "&".join(
        f"{name}={quote(request.query_params.get(name, ''), safe='')}" for name in ("e", "s")
    )
    action = f"/a/{uid}?{query}&lang={say.language}"
    return (
        f'<form method="post" action="{_e(action)}">'
        f'<label>{_e(_say(say, "who"))}<input name="name" maxlength="{_NAME_MAX}" required '
        f'autocomplete="name" autofocus></label>'
        f'<label>{_e(_say(say, "note"))}<input name="reason" maxlength="{_REASON_MAX}"></label>'
        f"<button>{_e(_say(say, 'take'))}</button></form>"
    )


def _refusal(say: Words, key: str, status: int) -> Response:
    text = f'<h1>syncgate</h1><p class="why">{_e(_say(say, key))}</p>'
    text += f"<p>{_e(_say(say, f'{key}_todo'))}</p>"
    return _html(say, _say(say, key), text, status)


def _html(say: Words, title: str, body: str, status: int) -> Response:
    page = (
        f'<!doctype html><html lang="{say.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{_e(title)} - syncgate</title>'
        '<link rel="stylesheet" href="/dashboard/style.css"></head>'
        f'<body><main class="login">{body}</main></body></html>'
    )
    return HTMLResponse(page, status_code=status, headers=_HEADERS)


def _field(form: dict[str, str], name: str, most: int) -> str:
    """Give one line of what was typed, without anything that steers a terminal or a log."""
    text = "".join(c if c.isprintable() else " " for c in form.get(name, ""))
    return " ".join(text.split())[:most]


def _say(say: Words, key: str) -> str:
    return _TEXTS[key][say.language == "ja"]


def _e(value: object) -> str:
    return escape(str(value), quote=True)
