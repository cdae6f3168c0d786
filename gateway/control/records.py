"""
From the core's words to the words of the store, the link and the people's inboxes, and back.

Pure translation: nothing here decides. Documents are what the store keeps: the state, an audit's
before and after, a decision with everything it was taken on.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import orjson

from gateway import ports
from gateway.control.event_words import japanese
from gateway.core import rollout
from gateway.core.analysis import Severity, UserReport, inputs_to_json
from gateway.core.analysis import watch as watches
from gateway.core.model import WEIGHT_ALL, Weight
from gateway.errors import (
    Fault,
    InvalidRequestError,
    PolicyError,
    RefusedError,
    StateUnreadableError,
)
from gateway.link import Routing
from gateway.ports import (
    SYSTEM_ACTOR,
    Actor,
    AuditDraft,
    Command,
    CommandKind,
    DecisionDraft,
    Document,
    EventDraft,
    Notice,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.analysis import Inputs, Sentence
    from gateway.ports import StoredState

_ROLLOUT: Final = "rollout"


# --- state -------------------------------------------------------------------------------------


def state_document(state: rollout.State) -> Document:
    """Give the document that `stored_state` reads."""
    return {_ROLLOUT: rollout.to_json(state)}


def stored_state(stored: StoredState, plan: rollout.Plan) -> rollout.State:
    """Read the state back; StateUnreadableError when it is not one of this plan."""
    try:
        return rollout.from_json(stored.document.get(_ROLLOUT), phases=len(plan.phases))
    except rollout.ForeignStateError as error:
        raise StateUnreadableError(
            f"The stored state (version {stored.version}) cannot be used: {error}.",
            todo="Start with the policy and the version of syncgate that wrote it, or move the "
            "state directory away to start idle with all traffic on the old service.",
        ) from error


def must_fit(plan: rollout.Plan, before: rollout.Plan, state: rollout.State) -> None:
    """Refuse a policy in which the phase that is on stands elsewhere, or not at all."""
    if state.phase is None:
        return
    running = before.phases[state.phase].id
    if state.phase < len(plan.phases) and plan.phases[state.phase].id == running:
        return
    fault = Fault(
        f"phase {state.phase + 1}", "is another one than the phase that is on", f"id {running!r}"
    )
    raise PolicyError(
        "Policy", (fault,), todo="Keep the phases up to the running one, or roll back first."
    )


# --- orders ------------------------------------------------------------------------------------


def order(
    command: Command, *, by: Actor, reason: str, fresh_salt: Callable[[], str]
) -> rollout.Order:
    """Put a person's command in the core's words."""
    who = by.name
    plain = _PLAIN_ORDERS.get(command.kind)
    if plain is not None:
        return plain(who, reason)
    match command.kind:
        case CommandKind.START:
            return rollout.Start(who, reason, fresh_salt())
        case CommandKind.PROMOTE:
            return rollout.Promote(who, reason, force=command.force)
        case CommandKind.HOLD:
            return rollout.Hold(who, reason, command.decision)
    weight_bp = command.weight_bp
    if weight_bp is None or not 0 <= weight_bp <= WEIGHT_ALL:
        raise InvalidRequestError(
            (Fault("percent", "is not a weight", "0 to 100 in steps of 0.01"),)
        )
    return rollout.SetWeight(who, reason, Weight(weight_bp), command.access)


_PLAIN_ORDERS: Final[dict[CommandKind, Callable[[str, str], rollout.Order]]] = {
    CommandKind.PAUSE: rollout.Pause,
    CommandKind.RESUME: rollout.Resume,
    CommandKind.ROLLBACK: rollout.RollBack,
    CommandKind.EMERGENCY_STOP: rollout.EmergencyStop,
    CommandKind.RELEASE: rollout.Release,
}


def refusal(refused: rollout.Refused) -> RefusedError:
    """Say the rules' no in both languages."""
    what, todo = refused.note.sentence, refused.remedy.sentence
    return RefusedError(
        what.en,
        todo=todo.en,
        code=refused.code,
        message_ja=what.ja,
        todo_ja=todo.ja,
        gates=refused.failing,
    )


# --- what is to be done ------------------------------------------------------------------------


def routing(route: rollout.Route, control_rate: float = 0.0, *, draining: bool = False) -> Routing:
    """Put a route on the link."""
    return Routing(
        version=route.version,
        salt=route.salt,
        write_weight_bp=route.write_bp,
        read_weight_bp=route.read_bp,
        phase=route.phase,
        status=route.status,
        stopped=route.stopped,
        mirror_to=route.mirror_to,
        mirror_rate=route.mirror_rate,
        mirror_dry=route.mirror_dry,
        write_back=route.write_back,
        control_rate=control_rate,
        draining=draining,
    )


def audit(action: rollout.Audit, *, by: Actor, at_us: int) -> AuditDraft:
    """Put a change on record: by the person who asked, else by the gateway itself."""
    actor = by if by.name == action.actor else Actor(action.actor)
    return AuditDraft(
        at_us=at_us,
        actor=actor,
        action=_name(action),
        before=_brief(action.before),
        after=_brief(action.after),
        reason=action.reason,
    )


def _name(action: rollout.Audit) -> str:
    """Name the change; the policy's own moves carry a star in the core, here the actor tells."""
    return action.action.removeprefix("*")


def plain_audit(action: str, *, by: Actor, reason: str, at_us: int) -> AuditDraft:
    """Put on record what changes no state: a reload, a replacement of workers."""
    return AuditDraft(at_us=at_us, actor=by, action=action, before={}, after={}, reason=reason)


def _brief(state: rollout.State) -> Document:
    """Give what a reader of the audit wants to see changed."""
    return {
        "version": state.version,
        "status": state.status.value,
        "phase": state.phase,
        "write_weight_bp": state.write_bp,
        "read_weight_bp": state.read_bp,
        "held_decisions": [one.id for one in state.decisions if not one.open],
    }


def change_event(action: rollout.Audit, *, at_us: int) -> EventDraft:
    """Tell of a change in one sentence."""
    why = action.after.why.sentence
    return event(
        f"rollout.{_name(action)}",
        why,
        at_us=at_us,
        actor=action.actor,
        reason=action.reason,
        weight_percent=action.after.write_bp / 100,
        status=action.after.status.value,
    )


def event(kind: str, sentence: Sentence | str, *, at_us: int, **data: object) -> EventDraft:
    """Make an event; the Japanese sentence travels in its data."""
    if isinstance(sentence, str):
        said = japanese(kind, sentence, data)
        return EventDraft(at_us, kind, sentence, {**data, "text_ja": said} if said else data)
    return EventDraft(at_us, kind, sentence.en, {**data, "text_ja": sentence.ja})


def store_notice(*, writable: bool, at_us: int) -> Notice:
    """Page people when the store takes no records any more, and tell when it does again."""
    text = (
        "The state is stored again, with all that happened meanwhile."
        if writable
        else "The state cannot be stored: nothing moves forward, rollback and emergency stop "
        "work. Check the disk of the state directory."
    )
    return Notice(
        level=Severity.LOW if writable else Severity.CRITICAL,
        title="store_writable" if writable else "store_unwritable",
        text=text,
        at_us=at_us,
        key="store",
        data={"resolved": writable},
    )


def user_report(report: ports.UserReport) -> UserReport:
    """Give what the analysis wants to know of a user's report."""
    return UserReport(at_us=report.at_us, serious=report.severity is ports.ReportSeverity.SERIOUS)


# --- decisions ---------------------------------------------------------------------------------


def decision(
    before: rollout.Engine, turn: rollout.Turn, inputs: Inputs, *, event: rollout.Event | None
) -> DecisionDraft:
    """Keep a decision with everything it was taken on, so that it can be taken again."""
    answer = turn.answer
    refused = isinstance(answer, rollout.Refused)
    after = turn.engine.state
    why = answer.note if isinstance(answer, rollout.Refused) else after.why
    return DecisionDraft(
        at_us=inputs.now_us,
        verdict="refused" if refused else after.status.value,
        sentence=why.sentence.en,
        inputs=_plain(
            {
                "policy": before.plan.name,
                "state": rollout.to_json(before.state),
                "watch": watches.to_json(before.watch),
                "inputs": inputs_to_json(inputs),
                "event": None if event is None else {type(event).__name__: _order_figures(event)},
            }
        ),
        outcome=_plain(
            {
                "state": rollout.to_json(after),
                "gates": [asdict(gate) for gate in turn.judgement.gates],
                "findings": [asdict(finding) for finding in turn.judgement.findings],
                "by": _author(answer),
            }
        ),
    )


def _order_figures(order: rollout.Event) -> dict[str, object]:
    return {name: value for name, value in asdict(order).items() if name != "judgement"}


def _author(answer: rollout.Step | rollout.Refused) -> str:
    if isinstance(answer, rollout.Step):
        for action in answer.actions:
            if isinstance(action, rollout.Audit):
                return action.actor
    return SYSTEM_ACTOR.name


def _plain(document: dict[str, object]) -> Document:
    """Turn enums and tuples into JSON's own values, as a reader of the store will see them."""
    plain: Document = orjson.loads(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS))
    return plain
