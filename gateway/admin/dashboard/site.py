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
from urllib.parse import parse_qs, urlsplit

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.admin.alerted import AlertsAsked, alert_list
from gateway.admin.auth import Scope, token_digest
from gateway.admin.dashboard.page import fragment, login, page
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
_FORM_BYTES: Final = 4096
_HERE: Final = Path(__file__).parent

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


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
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/dashboard/{name}", self.file, methods=["GET"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show the page, or ask for a token."""
        say = _words(request)
        try:
            signed_in = await self.admit(request)
        except ProblemError as refusal:
            if refusal.status != 401:  # noqa: PLR2004 - only the lack of a token is asked for
                raise
            return HTMLResponse(login(say, wrong=False), status_code=401, headers=HEADERS)
        found = self._comparisons()
        alerts = self._open()
        html = page(self._rollout(), say, alerts=alerts, signed_in=signed_in, compared=found)
        return HTMLResponse(html, headers=HEADERS)

    async def fragment(self, request: Request) -> Response:
        """Show what changes."""
        await self.admit(request)
        html = fragment(
            self._rollout(), _words(request), alerts=self._open(), compared=self._comparisons()
        )
        return HTMLResponse(html, headers=HEADERS)

    def _open(self) -> list[Alert]:
        return alert_list(self._alerts(), (), AlertsAsked()).items

    async def login(self, request: Request) -> Response:
        """Exchange a token for a cookie."""
        _same_origin(request)
        form = parse_qs((await small_body(request)).decode("utf-8", "replace"))
        secret = form.get("token", [""])[0].strip()
        if not secret or await self._keeper.known(request, secret) is None:
            say = _words(request)
            return HTMLResponse(login(say, wrong=True), status_code=401, headers=HEADERS)
        cookie = secrets.token_urlsafe(32)
        self._visits[token_digest(cookie)] = _Visit(token_digest(secret), self._now_s() + SESSION_S)
        while len(self._visits) > SESSIONS_AT_ONCE:
            self._visits.popitem(last=False)
        answer = RedirectResponse("/", status_code=303, headers=HEADERS)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, cookie, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure
        )
        return answer

    async def logout(self, request: Request) -> Response:
        """Forget the cookie."""
        _same_origin(request)
        self._visits.pop(token_digest(request.cookies.get(COOKIE, "")), None)
        answer = RedirectResponse("/", status_code=303, headers=HEADERS)
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


def _words(request: Request) -> Words:
    asked = request.query_params.get("lang")
    return Words(language_of(asked, request.headers.get("accept-language")))


def _same_origin(request: Request) -> None:
    """Refuse forms that a stranger's page sent."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise ProblemError(403, "foreign-origin", "This form was sent from another site.")


async def small_body(request: Request) -> bytes:
    """Read a form; 413 when it is larger than any of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            raise ProblemError(413, "too-large", "The form is too large.")
    return body
