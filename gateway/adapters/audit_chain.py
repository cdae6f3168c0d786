"""
The audit as a hash chain: whoever alters or removes a row breaks every digest after it.

Each entry's digest is SHA-256 over its own canonical form and the digest before it; the head (how
many entries, and the last digest) is kept apart, so that a missing tail is found too. What no chain
can show is a whole history rewritten with its head; therefore every digest also goes to the log.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import orjson

from gateway.ports import AuditCheck, AuditDraft, AuditEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

GENESIS: Final = "0" * 64


def digest_of(draft: AuditDraft, *, seq: int, previous: str) -> str:
    """Hash one entry onto the chain."""
    canonical = orjson.dumps(
        [
            seq,
            draft.at_us,
            draft.actor.name,
            draft.actor.ip,
            draft.actor.user_agent,
            draft.action,
            draft.before,
            draft.after,
            draft.reason,
            previous,
        ],
        option=orjson.OPT_SORT_KEYS,
    )
    return hashlib.sha256(canonical).hexdigest()


def link(draft: AuditDraft, *, seq: int, previous: str) -> AuditEntry:
    """Make the draft the chain's next entry."""
    return AuditEntry(
        seq=seq,
        at_us=draft.at_us,
        actor=draft.actor,
        action=draft.action,
        before=draft.before,
        after=draft.after,
        reason=draft.reason,
        previous=previous,
        digest=digest_of(draft, seq=seq, previous=previous),
    )


def verify(entries: Iterable[AuditEntry], *, count: int, head: str) -> AuditCheck:
    """Walk the chain, oldest first; name every row that is missing or was altered."""
    faults: list[str] = []
    expected_seq, previous, seen = 1, GENESIS, 0
    for entry in entries:
        seen += 1
        if entry.seq != expected_seq:
            last = entry.seq - 1
            gone = str(expected_seq) if last == expected_seq else f"{expected_seq} to {last}"
            faults.append(f"entry {gone} is missing")
        elif entry.previous != previous:
            faults.append(f"entry {entry.seq} does not follow entry {entry.seq - 1}")
        if entry.digest != _recomputed(entry):
            faults.append(f"entry {entry.seq} was altered")
        expected_seq, previous = entry.seq + 1, entry.digest
    if expected_seq - 1 < count:
        faults.append(f"the last entries are missing ({expected_seq} to {count})")
    elif expected_seq - 1 > count:
        faults.append(f"entries after {count} were added past the recorded head")
    elif previous != head:
        faults.append(f"entry {count} is not the recorded head")
    return AuditCheck(entries=seen, head=head, faults=tuple(faults))


def _recomputed(entry: AuditEntry) -> str:
    draft = AuditDraft(
        at_us=entry.at_us,
        actor=entry.actor,
        action=entry.action,
        before=entry.before,
        after=entry.after,
        reason=entry.reason,
    )
    return digest_of(draft, seq=entry.seq, previous=entry.previous)
