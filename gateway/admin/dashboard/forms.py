"""Forms of our own pages: whether one is, what it says, where it leads; and all pages' headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from gateway.admin.problems import ProblemError
from gateway.core.period import Kind

if TYPE_CHECKING:
    from starlette.requests import Request

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    # With `no-referrer` a browser sends the forms of our own pages as from nowhere: `Origin: null`.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FORM_BYTES: Final = 4096
_FIELDS: Final = 10
_PAGES: Final = {"/", *(f"/reports/{kind.value}" for kind in Kind)}
_ASKED: Final = ("at", "lang")


async def read_form(request: Request) -> dict[str, str]:
    """Read a form that one of our own pages sent; 403 for a stranger's."""
    if not _ours(request):
        raise ProblemError(403, "foreign-origin", "This form was sent from another site.")
    return await read_fields(request)


async def read_fields(request: Request) -> dict[str, str]:
    """Read a form, whoever sent it; 413 or 400 when it is larger than any of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            raise ProblemError(413, "too-large", "The form is too large.")
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_FIELDS)
    except ValueError:
        raise ProblemError(400, "too-large", "The form has too many fields.") from None
    return {name: values[0] for name, values in fields.items()}


def _ours(request: Request) -> bool:
    """Believe the browser's own word where there is one: it also holds behind a reverse proxy."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def wanted(request: Request) -> str:
    """Give the page that was asked for, to come back to."""
    return _page(request.url.path, request.url.query)


def leads_to(address: str) -> str:
    """Give the page that a form leads to: one of ours, whatever stands in the form."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/"
    return _page(parts.path, parts.query) if not parts.netloc else "/"


def _page(path: str, query: str) -> str:
    if path not in _PAGES:
        return "/"
    asked = urlencode([pair for pair in parse_qsl(query)[:_FIELDS] if pair[0] in _ASKED])
    return f"{path}?{asked}" if asked else path
