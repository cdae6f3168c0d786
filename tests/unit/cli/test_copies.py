"""What the status says of copies: figures with their reasons, and the one thing to do."""

from __future__ import annotations

from typing import Any

from gateway.cli.copies import copies
from gateway.cli.texts import Texts

EN = Texts("en")
ONE = {"en": "Not needed: both systems write the same database.", "ja": "不要"}


def mirror(**changes: Any) -> dict[str, Any]:
    """A state in which nothing was ever copied, and changes to it."""
    traffic = {
        "sent": 0, "compared": 0, "dropped": {}, "in_flight": 0, "waiting": 0, "held_bytes": 0
    }  # fmt: skip
    back = {
        "needed": False, "on": False, "agreed": 0, "failed": 0, "waiting": 0, "open": 0,
        "repaired": 0, "trouble": "", "why": ONE,
    }  # fmt: skip
    for name, value in changes.items():
        (traffic if name in traffic else back)[name] = value
    return {"mirror": {"on": False, "traffic": traffic, "write_back": back}}


def said(state: dict[str, Any], say: Texts = EN, width: int = 100) -> str:
    """Everything in one line."""
    lines = copies(state, say, width)
    assert all(line.cell_len <= width for line in lines)
    return " ".join(" ".join(line.plain.split()) for line in lines)


def test_nothing_is_shown_where_nothing_was_copied() -> None:
    """Nor by a gateway that does not know of copies yet."""
    assert said(mirror()) == ""
    assert copies({"mirror": {"on": False}}, EN, 80) == []


def test_shadows_are_shown_with_what_was_lost_the_most_first() -> None:
    """And that one database needs no write-back."""
    shown = said(
        mirror(
            sent=1200, compared=1100, dropped={"timeout": 2, "queue full": 80}, in_flight=3,
            waiting=4, held_bytes=3 << 20,
        )
    )  # fmt: skip
    assert "1,200 sent, 1,100 compared, 7 under way (3.0 MiB)" in shown
    assert "lost: queue full 80, timeout 2" in shown
    assert "Not needed" in shown


def test_what_old_may_lack_is_said_with_what_to_do() -> None:
    """Also in the other language, on a narrow screen, and when the record cannot be kept."""
    why = {"en": "6 writes may be missing in old: run `syncgate repair`.", "ja": "6 件 未反映"}
    state = mirror(needed=True, agreed=9, failed=6, open=6, repaired=12, why=why)
    for width in (60, 80, 120):
        shown = said(state, EN, width)
        assert "9 agreed, 6 failed, 0 under way" in shown
        assert "12 rows repaired" in shown
        assert "run `syncgate repair`" in shown
    assert "6 件 未反映" in said(state, Texts("ja"))
    assert "the disk is full" in said(mirror(needed=True, trouble="the disk is full"))
    assert "missing" not in said(mirror(needed=True, agreed=9, why=why))
