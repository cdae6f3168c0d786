"""
The dashboard's HTTP: the page, its fragment, its two files, and signing in.

Browsers send no bearer tokens by themselves, so a token is exchanged for a cookie that only the
dashboard honours: random, kept as a digest, HttpOnly and SameSite=Strict, gone after half a day or
a restart. It reads; every change goes through the API and its bearer token.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.admin.alerted import AlertsAsked, alert_list
from gateway.admin.auth import Scope, token_digest
from gateway.admin.dashboard.forms import HEADERS, leads_to, read_form, wanted
from gateway.admin.dashboard.page import fragment, login, page, refusal_page
from gateway.admin.dashboard.words import Words, language_of
from gateway.admin.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from gateway.admin.alerted import Alert
    from gateway.admin.compared import Comparisons
    from gateway.admin.intake import Gatekeeper
    from gateway.admin.models import Rollout
    from gateway.ports.alerts import AlertsView

COOKIE: Final = "syncgate_session"
SESSION_S: Final = 12 * 3600
SESSIONS_AT_ONCE: Final = 256
_UNAUTHORIZED: Final = 401
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class _Visit:
    token: bytes
    until_s: float


class Dashboard:
    """The page and who may see it."""

    def __init__(
        self,
        rollout: Callable[[], Rollout],
        alerts: Callable[[], AlertsView],
        keeper: Gatekeeper,
        now_s: Callable[[], float],
        comparisons: Callable[[], Comparisons | None] = lambda: None,
    ) -> None:
        self._rollout = rollout
        self._alerts = alerts
        self._keeper = keeper
        self._now_s = now_s
        self._comparisons = comparisons
        self._visits: OrderedDict[bytes, _Visit] = OrderedDict()

    def routes(self) -> list[Route]:
        """Give the addresses of the dashboard."""
        return [
            Route("/", self.page, methods=["GET"]),
            Route("/fragment", self.fragment, methods=["GET"]),
            Route("/login", self.ask, methods=["GET"]),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/dashboard/{name}", self.file, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show the page, or ask for a token."""
        try:
            signed_in = await self.admit(request)
        except ProblemError as refusal:
            return refused(request, refusal)
        found = self._comparisons()
        alerts = self._open()
        say = words_of(request)
        html = page(self._rollout(), say, alerts=alerts, signed_in=signed_in, compared=found)
        return HTMLResponse(html, headers=HEADERS)

    async def fragment(self, request: Request) -> Response:
        """Show what changes."""
        await self.admit(request)
        html = fragment(
            self._rollout(), words_of(request), alerts=self._open(), compared=self._comparisons()
        )
        return HTMLResponse(html, headers=HEADERS)

    def _open(self) -> list[Alert]:
        return alert_list(self._alerts(), (), AlertsAsked()).items

    async def ask(self, request: Request) -> Response:
        """Lead whoever comes here without a form to where one is asked for a token."""
        return RedirectResponse(_home(request), status_code=303, headers=HEADERS)

    async def login(self, request: Request) -> Response:
        """Exchange a token for a cookie, and lead to the page that was wanted."""
        try:
            form = await read_form(request)
            secret = form.get("token", "").strip()
            to = leads_to(form.get("to", "/"))
            if not secret or await self._keeper.known(request, secret) is None:
                html = login(words_of(request), to=to, wrong=True)
                return HTMLResponse(html, status_code=_UNAUTHORIZED, headers=HEADERS)
        except ProblemError as refusal:
            return refused(request, refusal)
        answer = RedirectResponse(to, status_code=303, headers=HEADERS)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, self._admitted(secret), max_age=SESSION_S, httponly=True, samesite="strict",
            secure=secure,
        )  # fmt: skip
        return answer

    def _admitted(self, secret: str) -> str:
        cookie = secrets.token_urlsafe(32)
        self._visits[token_digest(cookie)] = _Visit(token_digest(secret), self._now_s() + SESSION_S)
        while len(self._visits) > SESSIONS_AT_ONCE:
            self._visits.popitem(last=False)
        return cookie

    async def logout(self, request: Request) -> Response:
        """Forget the cookie."""
        try:
            await read_form(request)
        except ProblemError as refusal:
            return refused(request, refusal)
        self._visits.pop(token_digest(request.cookies.get(COOKIE, "")), None)
        answer = RedirectResponse(_home(request), status_code=303, headers=HEADERS)
        answer.delete_cookie(COOKIE)
        return answer

    async def file(self, request: Request) -> Response:
        """Give the style or the script; they hold no state."""
        kinds = {"style.css": "text/css", "refresh.js": "text/javascript"}
        name = request.path_params["name"]
        if name not in kinds:
            raise ProblemError(404, "not-found", "There is no such file.")
        headers = {**HEADERS, "Cache-Control": "max-age=300"}
        return Response((_HERE / name).read_bytes(), media_type=kinds[name], headers=headers)

    async def admit(self, request: Request) -> bool:
        """Let in who has a cookie (True), a token, or asks from this machine when none is set."""
        visit = self._visits.get(token_digest(request.cookies.get(COOKIE, "")))
        if visit is not None and self._now_s() < visit.until_s and self._keeper.valid(visit.token):
            return True
        await self._keeper.admit(request, Scope.VIEWER)
        return False


def words_of(request: Request) -> Words:
    """Speak the language that was asked for, or else the browser's."""
    asked = request.query_params.get("lang")
    return Words(language_of(asked, request.headers.get("accept-language")))


def refused(request: Request, refusal: ProblemError) -> Response:
    """Answer a browser with a page: the lack of a token by asking for one, all else by why."""
    say = words_of(request)
    if refusal.status == _UNAUTHORIZED:
        html = login(say, to=wanted(request), wrong=False)
    else:
        html = refusal_page(say, refusal.kind, refusal.detail, refusal.fix or "")
    headers = {**(refusal.headers or {}), **HEADERS}
    headers.pop("WWW-Authenticate", None)  # a browser would ask by a window of its own
    return HTMLResponse(html, status_code=refusal.status, headers=headers)


def _home(request: Request) -> str:
    return f"/?lang={words_of(request).language}"
