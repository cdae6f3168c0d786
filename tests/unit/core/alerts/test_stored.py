"""The book on paper: exact opposites, and what is no book is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.alerts import (
    Ack,
    Book,
    ForeignBookError,
    Said,
    Silence,
    acknowledge,
    book_from_json,
    book_to_json,
    incident_from_json,
    incident_to_json,
    silence,
)
from gateway.core.analysis import Severity
from tests.support.alerts import NEW, World, plan, rule, sentence


def full_book() -> Book:
    """Open incidents (one acknowledged), a silence, patience under way, the rollout's course."""
    world = World(plan(rule(), rule("slow", for_s=60)))
    world.errors[NEW] = 0.2
    world.look(0, Said("fault", Severity.HIGH, sentence("Fault"), sentence("why")))
    world.take(acknowledge(world.book, world.alerts, 1, Ack("jun", "on it", world.now_us)))
    return silence(world.book, Silence(0, "*", None, 1, 2, "jun", "work"))


def test_there_and_back_it_is_the_same() -> None:
    """Through real JSON text."""
    book = full_book()
    assert book.held
    assert book.progress is not None
    assert book_from_json(json.loads(json.dumps(book_to_json(book)))) == book
    assert book_from_json(book_to_json(Book())) == Book()


def test_an_incident_goes_there_and_back_by_itself() -> None:
    """As it is kept when it is over."""
    (first, *_) = full_book().open
    assert incident_from_json(json.loads(json.dumps(incident_to_json(first)))) == first


def _damaged(**changes: Any) -> dict[str, Any]:
    return book_to_json(full_book()) | changes


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        _damaged(format=2),
        _damaged(more=1),
        _damaged(open=[{"number": 1}]),
        _damaged(open=5),
        _damaged(held=[{"level": "none"}]),
        _damaged(silences=[{"id": 1}]),
        _damaged(progress={"x": 1}),
        _damaged(open=[incident_to_json(full_book().open[0])] * 2),
    ],
)
def test_what_is_no_book_is_refused(raw: object) -> None:
    """Nobody starts from incidents they do not understand."""
    with pytest.raises(ForeignBookError, match=r"book|incidents"):
        book_from_json(raw)
