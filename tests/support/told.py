"""A rendered alert with everything in it, and the shipped templates to make others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.adapters.messages import Templates, load_messages
from gateway.ports.alerts import Delivery, Language, Rendered, Severity, Stage

SHIPPED = Path(__file__).parents[2] / "config" / "messages"
AT_US = 1_763_700_000_000_000
LINK = "https://gate.example.com/api/v1/alerts/link/abc?until=1&key=2"


def shipped() -> Templates:
    """The templates of this project."""
    return load_messages(SHIPPED)


def delivery(**more: object) -> Delivery:
    """A critical alert of new's error rate, raised now, in English, to `slack-critical`."""
    figures = {
        "title": "Error rate too high",
        "why": "The error rate of new is 5.2 %; the limit is 5 % (sample 1,200 in 5 min).",
        "rule": "error_rate",
        "system": "new",
        "value": 0.052,
        "value_text": "5.2 %",
        "threshold": 0.05,
        "threshold_text": "5 %",
        "sample": 1200,
        "window_s": 300,
        "raised_us": AT_US,
        "answer_by_us": AT_US + 900_000_000,
        "names": ["Aoki"],
        "phase": "small_traffic",
        "status": "running",
        "weight_percent": 10.0,
        "todo": 'syncgate rollback --reason "errors"',
        "link": LINK,
    }
    made = Delivery(
        id="7f3a:raised:1:slack-critical:en",
        incident=12,
        channel="slack-critical",
        level=Severity.CRITICAL,
        stage=Stage.RAISED,
        language=Language.EN,
        message="alert",
        figures=figures,
        made_us=AT_US,
        next_us=AT_US,
    )
    extra = more.pop("figures", {})
    return replace(made, **more, figures={**figures, **extra})  # type: ignore[arg-type, dict-item]


def rendered(**more: object) -> Rendered:
    """The same in words."""
    return shipped().render(delivery(**more))
