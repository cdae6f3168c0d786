"""Reports as pages: for a signed-in browser, and for whoever asks the API for HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse
from starlette.routing import Route

from gateway.admin.dashboard.forms import HEADERS
from gateway.admin.dashboard.reports import report_page
from gateway.admin.dashboard.site import refused
from gateway.admin.dashboard.words import language_of
from gateway.admin.intake import read_query
from gateway.admin.problems import ProblemError
from gateway.admin.reports import ReportAsked
from gateway.core.period import Kind

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gateway.admin.dashboard.site import Dashboard
    from gateway.admin.reports import Report, Reporter

_HTML: Final = ("text/html", "text/*", "*/*")
_JSON: Final = ("application/json", "application/*", "*/*")


class ReportPages:
    """The pages that the dashboard links to."""

    def __init__(self, reporter: Reporter, dashboard: Dashboard) -> None:
        self._reporter = reporter
        self._dashboard = dashboard

    def routes(self) -> list[Route]:
        """Give their address."""
        return [Route("/reports/{kind}", self.page, methods=["GET"])]

    async def page(self, request: Request) -> Response:
        """Show a report, or let somebody sign in first."""
        try:
            await self._dashboard.admit(request)
            kind = _kind(request.path_params["kind"])
            asked = read_query(request, ReportAsked)
        except ProblemError as refusal:
            return refused(request, refusal)
        assert isinstance(asked, ReportAsked)
        return page_of(await self._reporter.make(kind, asked.at), asked, request)


def _kind(name: str) -> Kind:
    try:
        return Kind(name)
    except ValueError:
        raise ProblemError(404, "not-found", "There is no such report: daily or weekly.") from None


def page_of(report: Report, asked: ReportAsked, request: Request) -> Response:
    """Answer a report as HTML."""
    language = language_of(asked.lang, request.headers.get("accept-language"))
    return HTMLResponse(report_page(report, language, asked=asked.at), headers=HEADERS)


def wants_page(request: Request) -> bool:
    """Whether HTML is wanted more than JSON, by the weights of `Accept`; JSON when alike."""
    weights: dict[str, float] = {}
    for part in request.headers.get("accept", "*/*").lower().split(","):
        media, *parameters = (each.strip() for each in part.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            weights[media] = float(weight)
        except ValueError:
            continue
    return _weight(weights, _HTML) > _weight(weights, _JSON)


def _weight(weights: dict[str, float], media: tuple[str, ...]) -> float:
    """Give the weight of the most particular range that is named."""
    return next((weights[one] for one in media if one in weights), 0.0)
