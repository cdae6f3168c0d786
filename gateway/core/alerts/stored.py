"""The book as a JSON document and back. What is no book of ours is refused with a sentence."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

from gateway.core.alerts.book import Ack, Book, Held, Incident, Progress, Silence
from gateway.core.analysis import Sentence, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

BOOK_FORMAT: Final = 1


class ForeignBookError(ValueError):
    """The stored document is not a book this program wrote; the message says what is wrong."""


def book_to_json(book: Book) -> dict[str, Any]:
    """Plain JSON values, with a format number."""
    plain = asdict(book)
    plain["open"] = [incident_to_json(one) for one in book.open]
    plain["held"] = [{**asdict(one), "level": one.level.value} for one in book.held]
    plain["silences"] = [asdict(one) for one in book.silences]
    return {"format": BOOK_FORMAT, **plain}


def incident_to_json(incident: Incident) -> dict[str, Any]:
    """One incident in plain JSON values."""
    return {
        **asdict(incident),
        "level": incident.level.value,
        "figures": dict(incident.figures),
    }


def incident_from_json(raw: Mapping[str, Any]) -> Incident:
    """Read what `incident_to_json` gave. KeyError, TypeError or ValueError: it did not."""
    plain = dict(raw)
    return Incident(
        **plain
        | {
            "level": Severity(plain["level"]),
            "title": Sentence(**plain["title"]),
            "why": Sentence(**plain["why"]),
            "figures": tuple(plain["figures"].items()),
            "ack": None if plain["ack"] is None else Ack(**plain["ack"]),
        }
    )


def book_from_json(raw: object) -> Book:
    """Read what `book_to_json` gave. Raises ForeignBookError."""
    if not isinstance(raw, dict) or raw.get("format") != BOOK_FORMAT:
        raise ForeignBookError(f"not a book of format {BOOK_FORMAT}")
    plain: dict[str, Any] = {key: value for key, value in raw.items() if key != "format"}
    try:
        if plain.keys() != {one.name for one in fields(Book)}:
            raise ValueError("other keys than those of a book")  # noqa: TRY301 - one way out
        book = _book(plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ForeignBookError(f"not a book: {error!r}") from error
    if len({one.key for one in book.open}) < len(book.open):
        raise ForeignBookError("two open incidents of one rule and system")
    return book


def _book(plain: dict[str, Any]) -> Book:
    progress = plain["progress"]
    return Book(
        **plain
        | {
            "open": tuple(incident_from_json(one) for one in plain["open"]),
            "silences": tuple(Silence(**one) for one in plain["silences"]),
            "held": tuple(
                Held(**{**one, "level": Severity(one["level"])}) for one in plain["held"]
            ),
            "progress": None if progress is None else Progress(**progress),
        }
    )
