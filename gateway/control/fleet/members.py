"""
What this replica knows of the others: who is there, what they route by, what they saw.

A replica is *reporting* while its newest posting is younger than three seconds, then *silent*: what
it sees is unknown, and it is named, until it reports again, says that it leaves, or has been silent
for so long that it is gone. Instants of another replica are translated by the age of its posting on
the board's clock, so that it does not matter how its own clock is set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Final

from gateway.control.fleet import postings
from gateway.control.fleet.postings import Copies, Figure, ForeignPostingError, Seconds, Told
from gateway.core.model import SECOND_US

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.control.fleet.postings import Item, PostingBody
    from gateway.ports.fleet import BoardReading, Posting

SILENT_US: Final = 3 * SECOND_US
GONE_US: Final = 600 * SECOND_US
FRESH_US: Final = 10 * SECOND_US
"""Items of a posting that is older are of a time that nobody looks at any more."""
_JITTER_US: Final = 750_000


@dataclass(frozen=True, slots=True)
class Heard:
    """One new item of another replica, its instants translated to ours."""

    replica: str
    source: int
    """Names one run of it, as a negative number beside the workers' positive ones."""
    item: Item


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A replica `joined`, `restarted`, `left`, fell `silent`, is `back`, or is `gone` for good."""

    replica: str
    source: int
    change: str

    @property
    def text(self) -> str:
        """One sentence in English."""
        return _SAID[self.change][0].format(name=self.replica)

    @property
    def text_ja(self) -> str:
        """The same in Japanese."""
        return _SAID[self.change][1].format(name=self.replica)


_SAID: Final = {
    "joined": (
        "Replica {name} is part of the fleet.",
        "レプリカ {name} がフリートに加わりました。",
    ),
    "restarted": ("Replica {name} was started again.", "レプリカ {name} が再起動しました。"),
    "left": ("Replica {name} has left.", "レプリカ {name} が離脱しました。"),
    "silent": (
        "Replica {name} is silent; what it sees is unknown.",
        "レプリカ {name} の応答がありません。状況は不明です。",
    ),
    "back": ("Replica {name} reports again.", "レプリカ {name} の報告が再開しました。"),
    "gone": (
        "Replica {name} has been silent for so long that it is gone.",
        "レプリカ {name} は長時間応答がないため、離脱とみなします。",
    ),
}


@dataclass(slots=True)
class Member:
    """One other replica."""

    name: str
    boot: str
    source: int
    heard_us: int
    """When its newest posting was written, on our clock."""
    body: PostingBody | None = None
    """None: it cannot be read, `trouble` says why."""
    trouble: str = ""
    read: int = 0
    """The number of its newest item that was read."""
    shift_us: int | None = None
    """What turns its clock's instants into ours."""
    silent: bool = False

    @property
    def reports(self) -> bool:
        """Whether what it sees is known here."""
        return not self.silent and self.body is not None and not self.body.holding


class Members:
    """Everybody but ourselves."""

    def __init__(self, own_name: str, own_boot: str) -> None:
        self._own_name = own_name
        self._own_boot = own_boot
        self._sources = count(-1, -1)
        self._members: dict[str, Member] = {}
        self.namesake = False
        """Another process posts under our name."""

    def __iter__(self) -> Iterator[Member]:
        return iter(sorted(self._members.values(), key=lambda member: member.name))

    def __len__(self) -> int:
        return len(self._members)

    @property
    def one_decides(self) -> bool:
        """Whether one that is heard of has the lease."""
        return any(one.body and one.body.decides for one in self if one.reports)

    def unknown(self) -> tuple[str, ...]:
        """Name those whose numbers are unknown."""
        return tuple(member.name for member in self if not member.reports)

    def take(
        self, reading: BoardReading, now_us: int
    ) -> tuple[tuple[MemberChanged, ...], tuple[Heard, ...]]:
        """Read what stands on the board; oldest postings first."""
        changes: list[MemberChanged] = []
        heard: list[Heard] = []
        for posting in sorted(reading.postings, key=lambda posting: -posting.age_us):
            if posting.replica == self._own_name:
                self._look_at_own(posting)
            elif posting.age_us < GONE_US:
                self._read(posting, now_us, changes, heard)
        changes += self.age(now_us)
        return tuple(changes), tuple(heard)

    def age(self, now_us: int) -> list[MemberChanged]:
        """Notice who has fallen silent, and who is gone."""
        changes: list[MemberChanged] = []
        for member in list(self._members.values()):
            silent_us = now_us - member.heard_us
            if silent_us >= GONE_US:
                del self._members[member.name]
                changes.append(MemberChanged(member.name, member.source, "gone"))
            elif silent_us > SILENT_US and not member.silent:
                member.silent = True
                changes.append(MemberChanged(member.name, member.source, "silent"))
        return changes

    def _look_at_own(self, posting: Posting) -> None:
        boot = posting.document.get("boot")
        self.namesake = boot != self._own_boot and posting.age_us < SILENT_US

    def _read(
        self, posting: Posting, now_us: int, changes: list[MemberChanged], heard: list[Heard]
    ) -> None:
        try:
            body, trouble = postings.read(posting.document), ""
        except ForeignPostingError as error:
            body, trouble = None, str(error)
        if body is not None and body.leaving:
            self._goes(posting.replica, body.boot, changes)
            return
        boot = body.boot if body is not None else str(posting.document.get("boot", ""))
        member = self._met(posting, boot, now_us, changes)
        member.heard_us = max(member.heard_us, now_us - posting.age_us)
        member.body, member.trouble = body, trouble
        if member.silent and now_us - member.heard_us <= SILENT_US:
            member.silent = False
            changes.append(MemberChanged(member.name, member.source, "back"))
        if body is not None:
            heard += self._items(member, body, posting.age_us, now_us)

    def _met(
        self, posting: Posting, boot: str, now_us: int, changes: list[MemberChanged]
    ) -> Member:
        member = self._members.get(posting.replica)
        if member is not None and member.boot == boot:
            return member
        if member is not None:
            changes.append(MemberChanged(member.name, member.source, "restarted"))
        fresh = Member(posting.replica, boot, next(self._sources), now_us - posting.age_us)
        self._members[posting.replica] = fresh
        if member is None:
            changes.append(MemberChanged(fresh.name, fresh.source, "joined"))
        return fresh

    def _goes(self, name: str, boot: str, changes: list[MemberChanged]) -> None:
        member = self._members.get(name)
        if member is not None and member.boot == boot:
            del self._members[name]
            changes.append(MemberChanged(name, member.source, "left"))

    def _items(
        self, member: Member, body: PostingBody, age_us: int, now_us: int
    ) -> Iterator[Heard]:
        shift_us = now_us - age_us - body.now_us
        if member.shift_us is None or abs(shift_us - member.shift_us) > _JITTER_US:
            member.shift_us = shift_us
        for number, item in body.items:
            if number <= member.read:
                continue
            member.read = number
            if age_us <= FRESH_US:
                yield Heard(member.name, member.source, _translated(item, member.shift_us))


def complete_second(member: Member) -> int | None:
    """Give the newest second (on our clock) of which all its workers have reported."""
    if member.body is None or member.shift_us is None:
        return None
    return member.body.complete_second + round(member.shift_us / SECOND_US)


def _translated(item: Item, shift_us: int) -> Item:
    match item:
        case Seconds() | Copies():
            return replace(item, second=max(0, item.second + round(shift_us / SECOND_US)))
        case Figure():
            return Figure(replace(item.draft, at_us=max(0, item.draft.at_us + shift_us)))
        case Told():
            return Told(replace(item.report, at_us=max(0, item.report.at_us + shift_us)))
        case _:
            return item
