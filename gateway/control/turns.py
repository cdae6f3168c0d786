"""
One turn: what the engine answered is stored, then published to the workers, then told to people.

The order never changes: store (one transaction with audit, decision and events), publish the
routing, start what takes time without waiting for it. A step that only takes traffic back goes on
even when the store does not answer; any other step is not taken then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from gateway.control import records
from gateway.core import rollout
from gateway.ports import Transition

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.control.follow import Followers
    from gateway.control.journal import Journal
    from gateway.core.analysis import Inputs, Judgement
    from gateway.ports import Actor, Clock

CHECKPOINT_US: Final = 10_000_000
"""Bake time that a crash may cost; losing it only means baking longer."""

_log = structlog.get_logger("controller")


class Turns:
    """The engine, and the carrying out of its answers. Callers hold the controller's order."""

    def __init__(
        self,
        engine: rollout.Engine,
        *,
        journal: Journal,
        followers: Followers,
        clock: Clock,
        publish: Callable[[rollout.Route], None],
        carry_out: Callable[[rollout.Action, rollout.State], None],
    ) -> None:
        self.engine = engine
        self.judgement: Judgement | None = None
        self.inputs: Inputs | None = None
        self.fired: tuple[bool, ...] = ()
        self._journal = journal
        self._followers = followers
        self._clock = clock
        self._publish = publish
        self._carry_out = carry_out
        self._stored_us = 0

    @property
    def looked_us(self) -> int:
        """When the engine last judged."""
        return self.inputs.now_us if self.inputs else 0

    async def take(
        self,
        turn: rollout.Turn,
        inputs: Inputs,
        *,
        event: rollout.Event | None,
        by: Actor,
        token: int = 0,
    ) -> None:
        """Carry out what the engine answered; OVERTAKEN when another replica was quicker.

        `token` is the lease's, if it was decided by right of the lease.
        """
        before = self.engine
        self.judgement, self.inputs = turn.judgement, inputs
        self.fired = standing(turn.engine)
        if isinstance(turn.answer, rollout.Refused):
            decision = records.decision(before, turn, inputs, event=event)
            await self.note(Transition(0, decisions=(decision,)))
            raise records.refusal(turn.answer)
        actions = turn.answer.actions
        if actions:
            await self._commit(before, turn, inputs, event=event, by=by, token=token)
        elif inputs.now_us - self._stored_us >= CHECKPOINT_US and turn.engine.state != before.state:
            self._stored_us = inputs.now_us
            document = records.state_document(turn.engine.state)
            await self.note(Transition(0, document=document, token=token))
        self.engine = turn.engine
        if any(isinstance(action, rollout.Publish) for action in actions):
            self.publish()
        for action in actions:
            self._carry_out(action, turn.engine.state)

    def watched(self, turn: rollout.Turn, inputs: Inputs) -> None:
        """Keep what a look saw without drawing conclusions: somebody else decides."""
        self.judgement, self.inputs = turn.judgement, inputs
        self.engine = replace(self.engine, watch=turn.engine.watch)
        self.fired = standing(self.engine)

    def adopt(self, state: rollout.State) -> None:
        """Go on from a state that another replica decided."""
        before = rollout.route(self.engine.state, self.engine.plan)
        self.engine = rollout.adopt(self.engine, state)
        if rollout.route(state, self.engine.plan) != before:
            self.publish()

    async def _commit(
        self,
        before: rollout.Engine,
        turn: rollout.Turn,
        inputs: Inputs,
        *,
        event: rollout.Event | None,
        by: Actor,
        token: int,
    ) -> None:
        """Store the step with its audit, its decision and its events in one transaction."""
        now_us = inputs.now_us
        after = turn.engine.state
        assert isinstance(turn.answer, rollout.Step)
        changes = [one for one in turn.answer.actions if isinstance(one, rollout.Audit)]
        transition = Transition(
            0,
            document=records.state_document(after),
            audit=tuple(records.audit(one, by=by, at_us=now_us) for one in changes),
            decisions=(records.decision(before, turn, inputs, event=event),),
            events=tuple(records.change_event(one, at_us=now_us) for one in changes),
            token=token,
        )
        if goes_back(before.state, after):
            self._followers.tell(await self._journal.record(transition))
        else:
            undo = Transition(0, document=records.state_document(before.state))
            self._followers.tell(await self._journal.must_record(transition, undo=undo))
        self._stored_us = now_us
        for one in changes:
            _log.info(
                "rollout_changed",
                action=one.action.removeprefix("*"),
                actor=one.actor,
                status=after.status.value,
                weight_percent=after.write_bp / 100,
                version=after.version,
                why=after.why.sentence.en,
            )

    def publish(self) -> None:
        """Make the state's routing every worker's."""
        self._publish(rollout.route(self.engine.state, self.engine.plan))

    # --- the record --------------------------------------------------------------------------

    async def note(self, transition: Transition) -> None:
        """Store what changes no state; kept for later when the store does not answer."""
        self._followers.tell(await self._journal.record(transition))

    async def note_event(self, kind: str, text: str, **data: object) -> None:
        """Store and tell one event."""
        draft = records.event(kind, text, at_us=self._clock.now_us(), **data)
        await self.note(Transition(0, events=(draft,)))

    async def note_change(self, action: str, *, by: Actor, reason: str, text: str) -> None:
        """Audit a change that is not one of the rollout's state."""
        now_us = self._clock.now_us()
        await self.note(
            Transition(
                0,
                audit=(records.plain_audit(action, by=by, reason=reason, at_us=now_us),),
                events=(records.event(action, text, at_us=now_us, actor=by.name, reason=reason),),
            )
        )


def standing(engine: rollout.Engine) -> tuple[bool, ...]:
    """Which rules' evidence stands."""
    return tuple(track.fired_at_us is not None for track in engine.watch.tracks)


def goes_back(before: rollout.State, after: rollout.State) -> bool:
    """Whether a step only takes traffic back or holds it: such a step never waits for a disk."""
    lighter = after.write_bp <= before.write_bp and after.read_bp <= before.read_bp
    held = after.status is before.status and after.phase == before.phase
    return lighter and (held or after.status in _SAFE)


_SAFE: Final = frozenset(
    {rollout.Status.PAUSED, rollout.Status.ROLLED_BACK, rollout.Status.EMERGENCY_STOPPED}
)
