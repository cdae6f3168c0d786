"""The timeline in people's words, and whether it is the one that was expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.core.rollout import Audit, Notify, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gateway.core.rollout import Action
    from gateway.simulation.scenario import Expect

EVENTS: Final = {
    "start": "started",
    "promote": "phase_moved",
    "pause": "paused",
    "resume": "resumed",
    "weight": "weight_set",
    "rollback": "rolled_back",
    "stop": "stopped",
    "release": "released",
    "hold": "decision_held",
    "decision": "decision_opened",
    "escalate": "decision_escalated",
    "waiting": "promotion_wanted",
}
_TOLD_BY_THE_CHANGE: Final = frozenset({*EVENTS.values(), "completed"})


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline."""

    at_s: float
    at: str
    event: str
    weight_percent: float
    text: str
    text_ja: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the line as the command line prints it."""
        return {
            "at": self.at,
            "event": self.event,
            "weight_percent": self.weight_percent,
            "text": self.text,
            "text_ja": self.text_ja,
        }


def told(actions: Iterable[Action]) -> Iterator[tuple[str, str, str, float | None]]:
    """Give (event, English, Japanese, new weight) for each change and each page."""
    for action in actions:
        if isinstance(action, Audit):
            said = action.after.why.sentence
            name = EVENTS[action.action.removeprefix("*")]
            done = action.after.status is Status.COMPLETED is not action.before.status
            event = "completed" if done else name
            yield event, said.en, said.ja, action.after.write_bp / 100
        elif isinstance(action, Notify) and action.key not in _TOLD_BY_THE_CHANGE:
            said = action.note.sentence
            yield f"{'over' if action.resolved else 'page'}:{action.key}", said.en, said.ja, None


def unmet(
    expect: Expect, timeline: Sequence[Moment], *, status: str, weight_percent: float
) -> tuple[str, ...]:
    """Name every expectation that the timeline does not meet."""
    events = [moment.event for moment in timeline]
    found = []
    if status != expect.status:
        found.append(f"status {status}, expected {expect.status}")
    if weight_percent != expect.weight_percent:
        found.append(f"weight {weight_percent:g} %, expected {expect.weight_percent:g} %")
    remaining = iter(events)
    found += [
        f"{each!r} did not happen in its turn" for each in expect.happens if each not in remaining
    ]
    found += [f"{each!r} happened" for each in expect.never if each in events]
    found += [
        f"{each!r} happened {events.count(each)} times"
        for each in expect.at_most_once
        if events.count(each) > 1
    ]
    return (*found, *_too_early_or_late(expect, timeline))


def _too_early_or_late(expect: Expect, timeline: Sequence[Moment]) -> Iterator[str]:
    if expect.first_event is None:
        return
    first = next((m for m in timeline if m.event == expect.first_event), None)
    if first is None:
        yield f"{expect.first_event!r} never happened"
        return
    after_s = expect.first_after or 0.0
    late_s = first.at_s - after_s
    if late_s < 0:
        yield f"{expect.first_event!r} came {-late_s:.1f} s too early, at {first.at}"
    elif expect.first_within_s is not None and late_s > expect.first_within_s:
        yield f"{expect.first_event!r} came after {late_s:.1f} s, at {first.at}"
