"""
Every legal move in one table, each with its reason.

`*` stands for the policy acting on what it found; everything else is an order of a person. A move
may keep the status: it is here because it gives a new version, which is published and audited, or
because the order is obeyed and changes nothing. What is not in the table is refused. `machine`
makes the moves, and the tests hold it to this table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.core.rollout.state import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

_I, _R, _P = Status.IDLE, Status.RUNNING, Status.PAUSED
_B, _S, _C = Status.ROLLED_BACK, Status.EMERGENCY_STOPPED, Status.COMPLETED

TRANSITIONS: Final[Mapping[tuple[Status, str, Status], str]] = {
    (_I, "start", _R): "Phase 1 begins with a fresh salt: nobody has been assigned to new before.",
    (_I, "weight", _I): "An operator may try new on a little traffic before the rollout begins.",
    (_R, "weight", _R): "The operator's number stands instead of the phase's until the next phase.",
    (_P, "weight", _P): "A pause stops the clock, not the operator.",
    (
        _R,
        "promote",
        _R,
    ): "All gates pass, the phase has baked, nothing is open: the next one begins.",
    (_R, "promote", _C): "The last phase that bakes is done: old may be retired.",
    (_R, "pause", _P): "The weight stays and so does the guard; only the bake clock stops.",
    (_P, "resume", _R): "The person answered: the clock runs on, medium decisions are settled.",
    (
        _B,
        "resume",
        _R,
    ): "Back in the same phase, but at weight 0: traffic returns by a second order.",
    (_B, "resume", _I): "Nothing was ever started, so there is nothing to go on with.",
    (_B, "start", _R): "A whole new attempt from phase 1, with a fresh salt.",
    (_I, "rollback", _B): "Taking traffic back is never refused.",
    (_R, "rollback", _B): "Taking traffic back is never refused.",
    (_P, "rollback", _B): "Taking traffic back is never refused, least of all while waiting.",
    (_C, "rollback", _B): "Even a finished migration can go back while old still runs.",
    (_B, "rollback", _B): "It is back already; saying it twice does no harm.",
    (_S, "rollback", _S): "New gets nothing already, and the stop is the stronger order.",
    (_I, "stop", _S): "The emergency stop outranks everything.",
    (_R, "stop", _S): "The emergency stop outranks everything.",
    (_P, "stop", _S): "The emergency stop outranks everything.",
    (_B, "stop", _S): "The emergency stop outranks everything; it also refuses forced requests.",
    (_C, "stop", _S): "The emergency stop outranks everything.",
    (_S, "stop", _S): "It is stopped already; saying it twice does no harm.",
    (_S, "release", _P): "The rollout waits in its phase at weight 0 until a person goes on.",
    (_S, "release", _I): "Nothing was ever started, so the gateway is idle again.",
    (_I, "hold", _I): "A person answered a decision about a weight that an operator tried.",
    (_P, "hold", _P): "A person answered: traffic stays, and `resume` may now go on.",
    (_C, "hold", _C): "A person answered: traffic stays although the finding stands.",
    (
        _I,
        "*rollback",
        _B,
    ): "The critical triggers hold for any traffic on new, however it got there.",
    (_R, "*rollback", _B): "New is worse than old beyond what the policy allows.",
    (_P, "*rollback", _B): "A pause holds the weight, it does not switch off the guard.",
    (
        _C,
        "*rollback",
        _B,
    ): "Done is not safe: the critical triggers hold as long as old still runs.",
    (_R, "*promote", _R): "The policy promotes by itself where it says so, by the same rules.",
    (_R, "*promote", _C): "The policy completes by itself where it says so, by the same rules.",
    (_R, "*waiting", _R): "All gates pass and the phase has baked: a person is asked to promote.",
    (_R, "*decision", _P): "Something serious waits for a person: nothing is promoted meanwhile.",
    (_P, "*decision", _P): "One more question is asked; the rollout waits already.",
    (_I, "*decision", _I): "A person is asked about a weight that an operator tried.",
    (_C, "*decision", _C): "A person is asked; there is nothing left to promote.",
    (_P, "*escalate", _P): "Nobody answered in time: the next people are asked, traffic stays.",
    (_I, "*escalate", _I): "Nobody answered in time: the next people are asked, traffic stays.",
    (_C, "*escalate", _C): "Nobody answered in time: the next people are asked, traffic stays.",
}


def transition_table() -> tuple[tuple[str, str, str, str], ...]:
    """Give the rows (from, event, to, why)."""
    return tuple((a.value, event, b.value, why) for (a, event, b), why in TRANSITIONS.items())


def transition_markdown() -> str:
    """Render the table for the documentation."""
    rows = ["| from | event | to | why |", "|---|---|---|---|"]
    rows += [f"| {a} | {event} | {b} | {why} |" for a, event, b, why in transition_table()]
    return "\n".join(rows) + "\n"
