"""
What follows from a look: incidents begin, grow worse, escalate and end, and people are told.

An incident is told once per stage. While a silence covers it, it lives on untold; when the silence
is over, whatever still stands is told. What is unknown begins nothing and ends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gateway.core.alerts.book import MOST_OPEN, Ack, Book, Held, Incident, Progress, Silence
from gateway.core.alerts.sentences import TITLES
from gateway.core.alerts.signs import NOTICE, Condition, Reached, Sign, signs
from gateway.core.alerts.words import Stage
from gateway.core.analysis import Severity
from gateway.core.model import SECOND_US
from gateway.core.rollout import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.core.alerts.rules import AlertPlan, FollowUp, Rung
    from gateway.core.alerts.seen import Said, Seen
    from gateway.core.analysis import Sentence
    from gateway.core.analysis.sentences import Figure


@dataclass(frozen=True, slots=True)
class Tell:
    """One thing to tell, over these channels in these languages."""

    id: str
    """Unique for good."""
    incident: Incident | None
    stage: Stage
    level: Severity
    channels: tuple[str, ...]
    languages: tuple[str, ...]
    names: tuple[str, ...]
    message: str
    title: Sentence
    why: Sentence
    at_us: int
    figures: tuple[tuple[str, Figure], ...] = ()
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows: the book to be kept, what to tell, and what is over."""

    book: Book
    tells: tuple[Tell, ...] = ()
    ended: tuple[Incident, ...] = ()
    signs: tuple[Sign, ...] = ()
    """How everything stands that is watched."""


def advance(book: Book, plan: AlertPlan, seen: Seen) -> Outcome:
    """Draw the conclusions of one look. A clock that was set back moves no deadline."""
    turn = _Turn(book.at(seen.now_us), plan)
    found = signs(plan, seen)
    for sign in found:
        turn.take(sign)
    turn.end_without_sign({(sign.rule, sign.system) for sign in found})
    for said in seen.said:
        turn.hear(said)
    turn.drop_silences()
    turn.tell_untold()
    turn.climb()
    turn.follow_up()
    turn.progress(seen)
    return turn.outcome(found)


def acknowledge(book: Book, plan: AlertPlan, number: int, ack: Ack) -> Outcome:
    """Let somebody answer for an open incident; one that nothing measures is then over."""
    turn = _Turn(book, plan, ack.at_us)
    incident = book.incident(number)
    if incident is not None and incident.ack is None:
        incident = replace(incident, ack=ack, due_us=None)
        if incident.tells:
            incident = turn.tell(incident, Stage.ACKNOWLEDGED)
        turn.put(incident)
        if incident.rule.startswith(NOTICE):
            turn.end(incident, "acknowledged")
    return turn.outcome()


def silence(book: Book, wish: Silence) -> Book:
    """Add a silence; it gets the next number."""
    numbered = replace(wish, id=book.next_silence)
    return replace(book, silences=(*book.silences, numbered), next_silence=book.next_silence + 1)


def lift(book: Book, silence_id: int) -> Book:
    """End a silence now."""
    return replace(book, silences=tuple(one for one in book.silences if one.id != silence_id))


class _Turn:
    """One step in the making; lives only inside the functions above."""

    def __init__(self, book: Book, plan: AlertPlan, now_us: int | None = None) -> None:
        self._book = book
        self._plan = plan
        self._now_us = book.at_us if now_us is None else now_us
        self._tells: list[Tell] = []
        self._ended: list[Incident] = []

    def outcome(self, found: tuple[Sign, ...] = ()) -> Outcome:
        """Give what came of it."""
        return Outcome(self._book, tuple(self._tells), tuple(self._ended), found)

    def put(self, incident: Incident) -> None:
        """Keep it as it is now."""
        self._book = self._book.put(incident)

    # --- beginning, growing worse, ending ------------------------------------------------------

    def take(self, sign: Sign) -> None:
        """Draw the conclusions of one sign."""
        reached = self._held(sign)
        known = self._book.of(sign.rule, sign.system)
        if known is None:
            if reached is not None and len(self._book.open) < MOST_OPEN:
                self._begin(sign, reached)
        elif sign.condition is not Condition.CLEAR:
            if reached is not None and reached.level.rank > known.level.rank:
                known = _worse(known, sign, reached)
            if known.clear_us is not None:
                known = replace(known, clear_us=None)
            self.put(known)
        else:
            since_us = self._now_us if known.clear_us is None else known.clear_us
            if self._now_us - since_us >= sign.clear_after_s * SECOND_US:
                self.end(known, "clear")
            else:
                self.put(replace(known, clear_us=since_us))

    def _held(self, sign: Sign) -> Reached | None:
        """Find the worst level that has been reached for long enough, and remember since when."""
        if not sign.for_s:
            return sign.reached[0] if sign.reached else None
        key = sign.rule, sign.system
        before = {
            one.level: one.since_us for one in self._book.held if (one.rule, one.system) == key
        }
        if not before and not sign.reached:
            return None
        now = tuple(
            Held(*key, level=one.level, since_us=before.get(one.level, self._now_us))
            for one in sign.reached
        )
        others = tuple(one for one in self._book.held if (one.rule, one.system) != key)
        self._book = replace(self._book, held=(*others, *now))
        return next(
            (
                one
                for one, held in zip(sign.reached, now, strict=True)
                if self._now_us - held.since_us >= sign.for_s * SECOND_US
            ),
            None,
        )

    def _begin(self, sign: Sign, reached: Reached) -> None:
        number = self._book.next_number
        self._book = replace(self._book, next_number=number + 1)
        self.put(
            Incident(
                number=number, uid=f"{number}-{self._now_us}", rule=sign.rule, system=sign.system,
                title=sign.title, level=reached.level, why=reached.why, raised_us=self._now_us,
                value=sign.value, threshold=reached.threshold, sample=sign.sample,
                figures=reached.figures, message=sign.message, todo=sign.todo,
                business=sign.business,
            )
        )  # fmt: skip

    def end(self, incident: Incident, why: str) -> None:
        """Close it; whoever was told that it began is told that it is over."""
        incident = replace(incident, ended_us=self._now_us, ended_why=why)
        if incident.tells:
            incident = self.tell(incident, Stage.RESOLVED)
        self.put(incident)
        self._ended.append(incident)

    def end_without_sign(self, watched: set[tuple[str, str | None]]) -> None:
        """Close what is not watched any more: a decision answered, a rule taken away."""
        for incident in self._book.open:
            if incident.key not in watched and not incident.rule.startswith(NOTICE):
                self.end(incident, "gone")

    def hear(self, said: Said) -> None:
        """Take in what another part says: one incident per key, or plain news if it is small."""
        rule = NOTICE + said.key
        known = self._book.of(rule, None)
        sign = Sign(rule, None, Condition.FIRING, said.title, message="notice")
        reached = Reached(said.level, said.why)
        if said.over:
            if known is not None:
                self.end(known, "clear")
        elif known is not None:
            if said.level.rank > known.level.rank:
                self.put(_worse(known, sign, reached))
        elif said.level.rank < Severity.HIGH.rank or len(self._book.open) >= MOST_OPEN:
            self._news("notice", said.level, said.title, said.why, ())
        else:
            self._begin(sign, reached)

    # --- telling -------------------------------------------------------------------------------

    def drop_silences(self) -> None:
        """Forget silences that are over."""
        kept = tuple(one for one in self._book.silences if self._now_us < one.until_us)
        self._book = replace(self._book, silences=kept)

    def tell_untold(self) -> None:
        """Tell what began or grew worse, unless it is silenced."""
        for incident in self._book.open:
            if incident.told or incident.ack is not None:
                continue
            if not self._book.silenced(incident, self._now_us):
                stage = Stage.UPDATED if incident.tells else Stage.RAISED
                due_us = self._due_us(incident)
                self.put(self.tell(replace(incident, told=True, due_us=due_us), stage))

    def climb(self) -> None:
        """Ask the next people for what nobody answered in time."""
        for incident in self._book.open:
            if incident.due_us is None or self._now_us < incident.due_us:
                continue
            if not self._book.silenced(incident, self._now_us):
                higher = replace(incident, step=incident.step + 1)
                higher = replace(higher, due_us=self._due_us(higher))
                self.put(self.tell(higher, Stage.ESCALATED))

    def _due_us(self, incident: Incident) -> int | None:
        """When the rung that is asked now has had its time; None: there is none above it."""
        level = self._plan.level(incident.level)
        if incident.step >= min(level.up_to, len(self._plan.ladder)):
            return None
        within_s = max(level.answer_within_s, self._plan.ladder[incident.step - 1].within_s)
        return self._now_us + within_s * SECOND_US

    def follow_up(self) -> None:
        """Tell what is due a while after an incident began."""
        for incident in self._book.open:
            due = self._follow_ups(incident)
            if incident.tells and len(due) > incident.followed:
                for one in due[incident.followed :]:
                    incident = self._remind(incident, one)  # noqa: PLW2901 - it moves on
                self.put(replace(incident, followed=len(due)))

    def _follow_ups(self, incident: Incident) -> list[FollowUp]:
        of_rule = [one for one in self._plan.follow_ups if one.rule == incident.rule]
        age_us = self._now_us - incident.raised_us
        return [one for one in of_rule if age_us >= one.after_s * SECOND_US]

    def _remind(self, incident: Incident, one: FollowUp) -> Incident:
        told = self.tell(incident, Stage.FOLLOW_UP)
        self._tells[-1] = replace(
            self._tells[-1], channels=one.channels, languages=one.languages, names=one.names,
            message=one.message, title=one.title,
        )  # fmt: skip
        return told

    def tell(self, incident: Incident, stage: Stage) -> Incident:
        """Tell one stage of an incident; give it with that counted."""
        incident = replace(incident, tells=incident.tells + 1)
        level = self._plan.level(incident.level)
        rungs = self._rungs(incident)
        asked = rungs[-1:] if stage is Stage.ESCALATED else rungs
        self._tells.append(
            Tell(
                id=f"{incident.uid}-{incident.tells}", incident=incident, stage=stage,
                level=incident.level, languages=level.languages,
                channels=_once(level.channels, *(rung.channels for rung in rungs)),
                names=_once(*(rung.names for rung in asked)),
                message=incident.message, title=incident.title, why=incident.why,
                at_us=self._now_us, figures=incident.figures, todo=incident.todo,
            )
        )  # fmt: skip
        return incident

    def _rungs(self, incident: Incident) -> list[Rung]:
        """Who has been asked so far; for business impact the last of the ladder from the start."""
        ladder = self._plan.ladder
        last = [ladder[-1]] if incident.business and incident.step < len(ladder) else []
        return [*last, *ladder[: incident.step]]

    # --- news ----------------------------------------------------------------------------------

    def progress(self, seen: Seen) -> None:
        """Tell how the rollout went on since people were last told."""
        state, before = seen.state, self._book.progress
        if before is not None and state.version < before.version:
            return
        now = Progress(
            version=state.version, started_at_us=state.started_at_us, phase=state.phase,
            status=state.status.value, waiting=state.waiting_since_us is not None,
        )  # fmt: skip
        self._book = replace(self._book, progress=now)
        if before is None:
            return
        for message in _moves(before, now):
            figures = dict(state.why.figures)
            if now.phase is not None:
                figures["phase"] = seen.plan.phases[now.phase].id
            if message == "promoted" and before.phase is not None:
                figures.setdefault("before", seen.plan.phases[before.phase].id)
            why = state.why.sentence
            self._news(message, Severity.LOW, TITLES[message], why, tuple(figures.items()))

    def _news(
        self,
        message: str,
        level: Severity,
        title: Sentence,
        why: Sentence,
        figures: tuple[tuple[str, Figure], ...],
    ) -> None:
        number = self._book.news + 1
        self._book = replace(self._book, news=number)
        self._tells.append(
            Tell(
                id=f"n{number}-{self._now_us}", incident=None, stage=Stage.TOLD, level=level,
                channels=self._plan.news.channels, languages=self._plan.news.languages, names=(),
                message=message, title=title, why=why, at_us=self._now_us, figures=figures,
                todo=_NEXT.get(message, ""),
            )
        )  # fmt: skip


_NEXT: Final = {
    "started": "syncgate status -w",
    "promoted": "syncgate status -w",
    "promotion_wanted": "syncgate promote --reason ...",
}


def _moves(before: Progress, now: Progress) -> Iterator[str]:
    if now.started_at_us is not None and now.started_at_us != before.started_at_us:
        yield "started"
    elif now.status == Status.COMPLETED.value != before.status:
        yield "completed"
    elif now.phase is not None and before.phase is not None and now.phase > before.phase:
        yield "promoted"
    if now.waiting and not before.waiting:
        yield "promotion_wanted"


def _worse(incident: Incident, sign: Sign, reached: Reached) -> Incident:
    """Raise its level: who answered for the milder trouble has not answered for this one."""
    return replace(
        incident, level=reached.level, why=reached.why, threshold=reached.threshold,
        value=sign.value, sample=sign.sample, figures=reached.figures,
        ack=None, told=False, due_us=None,
    )  # fmt: skip


def _once(*groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
