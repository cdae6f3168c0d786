"""
What a replica puts up on the board once a second, and how another one reads it.

A posting carries its newest items with their numbers, so that a reader that missed one posting
finds them in the next. Only what is of another format is refused: fields that are not known are
left alone, so that replicas of two releases understand one another while an upgrade is under way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway.core.model import Outcome, Variant
from gateway.core.window import VariantSecond
from gateway.ports import MeasurementDraft, ReportSeverity, UserReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.ports import Document

FORMAT: Final = 1
MAX_ITEMS: Final = 2_000
_OUTCOMES: Final = frozenset({int(Outcome.OK), int(Outcome.ERROR), int(Outcome.REJECTED)})


class ForeignPostingError(ValueError):
    """It is none of ours, or of a release that we do not understand; the message says which."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """Counts of one finished second on the writer's steady clock, shadows included."""

    second: int
    variants: Mapping[Variant, VariantSecond]


@dataclass(frozen=True, slots=True)
class Copies:
    """What of a second's counts, posted before, were shadows; an older release passes it over."""

    second: int
    variants: Mapping[Variant, VariantSecond]


@dataclass(frozen=True, slots=True)
class Runs:
    """Outcomes in the order in which they happened."""

    runs: tuple[tuple[Variant, Outcome, int], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that somebody reported at that replica."""

    draft: MeasurementDraft


@dataclass(frozen=True, slots=True)
class Told:
    """A user report that was typed in at that replica."""

    report: UserReport


Item = Seconds | Copies | Runs | Figure | Told


@dataclass(frozen=True, slots=True)
class PostingBody:
    """Everything a replica says of itself."""

    boot: str
    software: str
    now_us: int
    """The writer's steady clock when it wrote."""
    complete_second: int
    """The newest second of which all its workers have reported."""
    routing_version: int
    """What all its workers route by."""
    state_version: int
    """The stored state that it has taken up."""
    weight_bp: int
    workers: int
    requests_per_s: float
    breakers: Mapping[Variant, bool] = field(default_factory=dict)
    """Whether a system's circuit breaker is open in any of its workers."""
    figures: tuple[MeasurementDraft, ...] = ()
    """Its newest figures of the machine and of the comparison."""
    items: tuple[tuple[int, Item], ...] = ()
    """Numbered, in order."""
    leaving: bool = False
    holding: str = ""
    """Why it cannot take part, if it cannot."""
    decides: bool = False
    """It holds the lease."""


def write(body: PostingBody) -> Document:
    """Give the document for the board."""
    return {
        "format": FORMAT,
        "boot": body.boot,
        "software": body.software,
        "now_us": body.now_us,
        "complete_second": body.complete_second,
        "routing_version": body.routing_version,
        "state_version": body.state_version,
        "weight_bp": body.weight_bp,
        "workers": body.workers,
        "requests_per_s": round(body.requests_per_s, 3),
        "breakers": {variant.value: is_open for variant, is_open in body.breakers.items()},
        "figures": [_draft(draft) for draft in body.figures],
        "items": [[number, *_item(item)] for number, item in body.items],
        "leaving": body.leaving,
        "holding": body.holding,
        "decides": body.decides,
    }


def _item(item: Item) -> tuple[str, Any]:
    match item:
        case Seconds() | Copies():
            counts = {variant.value: _counts(one) for variant, one in item.variants.items()}
            return "s" if isinstance(item, Seconds) else "c", [item.second, counts]
        case Runs():
            return "r", [[variant.value, int(outcome), n] for variant, outcome, n in item.runs]
        case Figure():
            return "f", _draft(item.draft)
        case Told():
            report = item.report
            return "u", [report.at_us, report.severity.value, report.text, report.by]


def _counts(one: VariantSecond) -> list[Any]:
    return [one.ok, one.errors, one.rejected, one.latency, one.pace, one.syncs, one.listings]


def _draft(draft: MeasurementDraft) -> list[Any]:
    system = draft.variant.value if draft.variant else None
    return [draft.at_us, draft.metric, draft.value, system, draft.sample, draft.source]


def read(document: Document) -> PostingBody:
    """Read what `write` gave; ForeignPostingError when it did not."""
    form = document.get("format")
    if form != FORMAT:
        raise ForeignPostingError(f"its postings are of format {form!r}, this release reads 1")
    try:
        return _body(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ForeignPostingError(f"its posting cannot be read ({error!r})") from error


def _body(document: Any) -> PostingBody:
    items = document["items"]
    if len(items) > MAX_ITEMS:
        raise ValueError(f"{len(items)} items")
    return PostingBody(
        boot=str(document["boot"]),
        software=str(document["software"]),
        now_us=_whole(document["now_us"]),
        complete_second=_whole(document["complete_second"]),
        routing_version=_whole(document["routing_version"]),
        state_version=_whole(document["state_version"]),
        weight_bp=_whole(document["weight_bp"]),
        workers=_whole(document["workers"]),
        requests_per_s=_figure(document["requests_per_s"]),
        breakers={Variant(name): bool(is_open) for name, is_open in document["breakers"].items()},
        figures=tuple(_read_draft(each) for each in document["figures"]),
        items=tuple(_read_items(items)),
        leaving=bool(document.get("leaving")),
        holding=str(document.get("holding", "")),
        decides=bool(document.get("decides")),
    )


def _read_items(items: Any) -> Any:
    for number, kind, value in items:
        if kind in {"s", "c"}:
            second, variants = value
            made = Seconds if kind == "s" else Copies
            counts = {Variant(n): _second(c) for n, c in variants.items()}
            yield _whole(number), made(_whole(second), counts)
        elif kind == "r":
            yield _whole(number), Runs(tuple(_run(each) for each in value))
        elif kind == "f":
            yield _whole(number), Figure(_read_draft(value))
        elif kind == "u":
            at_us, severity, text, by = value
            report = UserReport(_whole(at_us), ReportSeverity(severity), str(text), str(by))
            yield _whole(number), Told(report)
        # Another kind is of a newer release; its number is passed over.


def _run(each: Any) -> tuple[Variant, Outcome, int]:
    variant, outcome, count = each
    if outcome not in _OUTCOMES:
        raise ValueError(f"outcome {outcome!r}")
    return Variant(variant), Outcome(outcome), _whole(count)


def _second(counts: Any) -> VariantSecond:
    ok, errors, rejected, latency, pace, syncs, listings = counts
    return VariantSecond(
        ok=_whole(ok),
        errors=_whole(errors),
        rejected=_whole(rejected),
        latency=tuple((_whole(bucket), _whole(count)) for bucket, count in latency),
        pace=tuple((_whole(bucket), _whole(count)) for bucket, count in pace),
        syncs=_whole(syncs),
        listings=_whole(listings),
    )


def _read_draft(each: Any) -> MeasurementDraft:
    at_us, metric, value, system, sample, source = each
    return MeasurementDraft(
        at_us=_whole(at_us),
        metric=str(metric),
        value=_figure(value),
        variant=None if system is None else Variant(system),
        sample=None if sample is None else _whole(sample),
        source=str(source),
    )


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _figure(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)
