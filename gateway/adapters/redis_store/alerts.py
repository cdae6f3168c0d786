"""
A fleet's alerts in Redis: the book of incidents, deliveries on their way, what is over.

What is fixed about a delivery is a row that nobody writes twice; what becomes of it is a short note
beside it, which scripts change.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.adapters.redis_store.foreign import foreign
from gateway.adapters.redis_store.rows import document_text
from gateway.adapters.redis_store.scripts import Argument, Script
from gateway.core.analysis import Severity
from gateway.errors import StoreUnavailableError, VersionConflictError
from gateway.ports.alerts import (
    Delivery,
    DeliveryRecord,
    DeliveryState,
    Ended,
    Language,
    Stage,
    StoredBook,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gateway.adapters.redis_store.server import Server

FORMAT: Final = "syncgate-alerts-1"
MAX_BOOK_BYTES: Final = 8 * 1024 * 1024
SETTLED_KEPT: Final = 10_000
ENDED_KEPT: Final = 10_000
_COMMIT: Final = Script.read("alert_commit")
_SETTLE: Final = Script.read("alert_settle")
_DUE: Final = Script.read("alert_due")
_RECORDS: Final = Script.read("alert_records")


class RedisAlertStore:
    """`AlertStore` on a Redis that a fleet shares."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys = server.keys

    async def load(self) -> StoredBook | None:
        """Read the book; refuse what is none."""
        server, key = self._server, self._keys.alerts
        kind = await server.call(server.client.type(key))
        if kind == b"none":
            return None
        if kind != b"hash" or (
            await server.call(server.client.hstrlen(key, "document")) > MAX_BOOK_BYTES
        ):
            raise foreign(key, server.address)
        form, version, text = await server.call(
            server.client.hmget(key, "format", "version", "document")
        )
        with self._suspicion(key):
            document = orjson.loads(text or b"")
            if form != FORMAT.encode() or not isinstance(document, dict) or not document:
                raise ValueError("no book")
            return StoredBook(int(version), document)

    async def commit(
        self,
        document: Mapping[str, object],
        *,
        expected_version: int,
        token: int,
        deliveries: Sequence[Delivery] = (),
        ended: Sequence[Ended] = (),
    ) -> int:
        """Store all of it in one script."""
        text = document_text(document)
        if not document or len(text.encode()) > MAX_BOOK_BYTES:
            raise StoreUnavailableError(
                f"Refused to store a blank or oversized book of incidents ({len(text)} characters)."
            )
        keys = self._keys
        arguments: list[Argument] = [FORMAT, expected_version, token, text]
        arguments += [SETTLED_KEPT, ENDED_KEPT, len(deliveries)]
        for one in deliveries:
            arguments += [one.id, one.level.rank, one.made_us, one.next_us, one.attempts]
            arguments += [one.incident, _row(one)]
        for over in ended:
            arguments += [f"{over.number}:{over.raised_us}", over.ended_us, _ended_row(over)]
        kind, detail = await self._server.run(
            _COMMIT,
            [
                *(keys.alerts, keys.alert_rows, keys.alert_notes, keys.alert_order),
                *(keys.alert_waiting, keys.alert_delivered, keys.alert_dead),
                *(keys.alert_ended, keys.alert_ends, keys.fence),
            ],
            arguments,
        )
        if kind == b"stored":
            return int(detail)
        if kind == b"foreign":
            raise foreign(detail, self._server.address)
        if kind == b"fenced":
            raise VersionConflictError(
                f"Another gateway decides now (token {detail} after {token})."
            )
        raise VersionConflictError(
            f"The book of incidents has moved on to version {detail} (this change was made for "
            f"{expected_version})."
        )

    async def due(self, *, now_us: int, limit: int = 100) -> list[Delivery]:
        """Read what is to be sent now: the worst first, then the oldest."""
        keys = self._keys
        answer = await self._server.run(
            _DUE, [keys.alert_rows, keys.alert_notes, keys.alert_waiting], [now_us, limit]
        )
        return [record.delivery for record in self._records(answer)]

    async def next_due_us(self) -> int | None:
        """Say when the earliest is due."""
        server = self._server
        earliest = await server.call(
            server.client.zrange(self._keys.alert_waiting, 0, 0, withscores=True)
        )
        return int(earliest[0][1]) if earliest else None

    async def delivered(self, delivery_id: str, *, at_us: int) -> None:
        """Note that it arrived."""
        await self._settle(delivery_id, "delivered", at_us, "")

    async def failed(self, delivery_id: str, *, next_us: int, reason: str) -> None:
        """Note one more failed try."""
        await self._settle(delivery_id, "failed", next_us, reason)

    async def dead(self, delivery_id: str, *, at_us: int, reason: str) -> None:
        """Give it up."""
        await self._settle(delivery_id, "dead", at_us, reason)

    async def revive(self, delivery_id: str, *, next_us: int) -> bool:
        """Let a dead one wait again."""
        return await self._settle(delivery_id, "revived", next_us, "")

    async def _settle(self, delivery_id: str, what: str, at_us: int, reason: str) -> bool:
        keys = self._keys
        noted = await self._server.run(
            _SETTLE,
            [keys.alert_notes, keys.alert_waiting, keys.alert_delivered, keys.alert_dead],
            [delivery_id, what, at_us, reason],
        )
        return bool(noted)

    async def records(
        self,
        *,
        incident: int | None = None,
        state: DeliveryState | None = None,
        limit: int = 100,
    ) -> list[DeliveryRecord]:
        """Read deliveries, newest first."""
        keys = self._keys
        answer = await self._server.run(
            _RECORDS,
            [keys.alert_rows, keys.alert_notes, keys.alert_order],
            ["" if incident is None else incident, "" if state is None else state.value, limit],
        )
        return self._records(answer)

    async def counts(self) -> Mapping[DeliveryState, int]:
        """Count deliveries by what became of them."""
        server, keys = self._server, self._keys
        return {
            state: int(await server.call(server.client.zcard(key)))
            for state, key in (
                (DeliveryState.WAITING, keys.alert_waiting),
                (DeliveryState.DELIVERED, keys.alert_delivered),
                (DeliveryState.DEAD, keys.alert_dead),
            )
        }

    async def ended(self, *, since_us: int = 0, limit: int = 100) -> list[Ended]:
        """Read what is over, newest first."""
        server, keys = self._server, self._keys
        names = await server.call(
            server.client.zrevrangebyscore(keys.alert_ends, "+inf", since_us, start=0, num=limit)
        )
        if not names:
            return []
        rows = await server.call(server.client.hmget(keys.alert_ended, names))
        with self._suspicion(keys.alert_ended):
            return [_ended(row) for row in rows if row is not None]

    def _records(self, answer: list[bytes]) -> list[DeliveryRecord]:
        with self._suspicion(self._keys.alert_rows):
            return [_record(answer[at], answer[at + 1]) for at in range(0, len(answer), 2)]

    @contextlib.contextmanager
    def _suspicion(self, key: str) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, KeyError) as error:
            raise foreign(key, self._server.address) from error

    async def close(self) -> None:
        """Nothing of its own: the connections belong to `Server`."""


def _row(one: Delivery) -> bytes:
    return orjson.dumps(
        [
            one.id, one.incident, one.channel, one.level.value, one.stage.value,
            one.language.value, one.message, one.figures, one.made_us,
        ],
        option=orjson.OPT_NON_STR_KEYS,
    )  # fmt: skip


def _record(row: bytes, note: bytes) -> DeliveryRecord:
    name, incident, channel, level, stage, language, message, figures, made_us = orjson.loads(row)
    _, _, _, _, attempts, next_us, state, settled_us, reason = note.decode().split(" ", 8)
    return DeliveryRecord(
        Delivery(
            id=name, incident=incident, channel=channel, level=Severity(level),
            stage=Stage(stage), language=Language(language), message=message, figures=figures,
            made_us=made_us, attempts=int(attempts), next_us=int(next_us),
        ),
        DeliveryState(state),
        int(settled_us) if state != DeliveryState.WAITING.value else None,
        reason,
    )  # fmt: skip


def _ended_row(over: Ended) -> bytes:
    values: list[Any] = [over.number, over.rule, over.system, over.level.value]
    return orjson.dumps(
        [*values, over.raised_us, over.ended_us, over.document], option=orjson.OPT_NON_STR_KEYS
    )


def _ended(row: bytes) -> Ended:
    number, rule, system, level, raised_us, ended_us, document = orjson.loads(row)
    return Ended(number, rule, system, Severity(level), raised_us, ended_us, document)
