"""
Writes with an `Idempotency-Key`: done once, and answered from a store when they come again.

Such a request leaves the fast path. Its key is claimed in a store, durably, before anything is
sent; while it is under way a second one is told so (409), afterwards it gets the stored answer, and
the same key with another request is refused (422): another body, target, or `Sync-` field, since
those change what is asked. The key belongs to one client and one route, and to the system it was
first sent to: what may have been begun on one side is not begun on the other.
If the store cannot be reached nothing is sent (503): a promise that cannot be kept is not made.

A stored answer is a final one; of one too large to keep, that it was given is kept. After a 5xx or
no answer the key stays with its system, open for another try by the same caller. What may have
arrived there goes nowhere else any more, not even past an open breaker or an emergency stop; a new
key would be a new write.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from time import time
from typing import TYPE_CHECKING, Any, Final

from gateway.ports.keys import Verdict
from gateway.proxy.answers import SERVER_ERROR
from gateway.proxy.problems import Answer, problem, unavailable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gateway.ports.keys import Claim, KeyStore
    from gateway.proxy.answers import AnswerHead
    from gateway.proxy.bodies import Body
    from gateway.proxy.exchange import Exchange
    from gateway.proxy.plane import Plane, Side

_MAX_STORED_BYTES: Final = 4 * 1024 * 1024
_UNREACHABLE: Final = unavailable("The store of idempotency keys cannot be reached.", 1)
_UNDER_WAY: Final = problem(
    409, "A request with this Idempotency-Key is under way.", b"Retry-After: 1\r\n"
)
_OTHER_REQUEST: Final = problem(422, "This Idempotency-Key was used for another request.")
_STOPPED: Final = unavailable(
    "This write may have been begun by the new system, which is stopped."
    " Send it again with the same key when the emergency stop is over.",
    60,
)
_REPLAYED: Final = b"Idempotency-Replayed: true\r\n"


class KeyedWrites:
    """The keys of one worker's requests."""

    def __init__(self, plane: Plane, store: KeyStore) -> None:
        self.plane = plane
        self.store = store
        self.thread = ThreadPoolExecutor(store.threads, thread_name_prefix="keys")
        self.ttl_s = plane.settings.idempotency_ttl_s
        # A claim outlives the longest request; whoever still holds it then has died.
        self.lease_s = plane.settings.sync_timeout_ms // 1000 + 30

    def begin(self, exchange: Exchange) -> None:
        """Claim the key, then send, replay or refuse."""
        head, client = exchange.head, exchange.client
        owner = head.api_key or (client.address.encode() if client is not None else b"")
        # Many clients may share an address; a name only ever tells them apart further.
        whose = (owner, head.client_id or b"")
        scope = _digest(*whose, head.method, head.path, head.idempotency_key or b"")
        fingerprint = _digest(*_asked(head.forward), exchange.body)
        side = self.plane.assign(head)
        self._run(
            lambda: self.store.claim(
                scope,
                fingerprint,
                side=side.name,
                now_s=int(time()),
                lease_s=self.lease_s,
                ttl_s=self.ttl_s,
            ),
            lambda found: self._claimed(exchange, scope, found),
            lambda: exchange.turn_away(_UNREACHABLE, "idempotency_store"),
        )

    def _claimed(self, exchange: Exchange, scope: bytes, found: Claim) -> None:
        """Send what is ours to send; say what is known of the rest."""
        verdict = found.verdict
        if verdict is Verdict.DONE:
            status = int(found.head[9:12])  # behind "HTTP/1.1 "
            answer = Answer(status, found.head + _REPLAYED, found.body)
            exchange.replay(self._side(found), answer)
        elif verdict is Verdict.UNDER_WAY:
            exchange.turn_away(_UNDER_WAY, "idempotency_under_way")
        elif verdict is Verdict.OTHER_REQUEST:
            exchange.turn_away(_OTHER_REQUEST, "idempotency_other_request")
        else:
            self._send(exchange, scope, found)

    def _send(self, exchange: Exchange, scope: bytes, found: Claim) -> None:
        plane, begun, side = self.plane, found.verdict is Verdict.RESUMED, self._side(found)
        if side.is_canary and plane.routing.stopped:
            if begun:
                self._reopen(scope, side.name, begun=True)
                exchange.turn_away(_STOPPED, "idempotency_stopped")
                return
            side = plane.old
        exchange.scope, exchange.begun = scope, begun
        exchange.send_to(side)

    def _side(self, found: Claim) -> Side:
        return self.plane.new if found.side == self.plane.new.name else self.plane.old

    def answered(
        self, exchange: Exchange, answer: AnswerHead, body: Body, tell: Callable[[], None]
    ) -> None:
        """Store the answer, then let the client have it."""
        scope, side = exchange.scope, exchange.side.name
        if scope is None or answer.status >= SERVER_ERROR:
            exchange.begun = True
            self.unanswered(exchange)
            tell()
            return
        if len(body) > _MAX_STORED_BYTES:
            _, head, stored = _too_large(answer)
        else:
            head, stored = answer.forward, bytes(body)
        self._run(
            lambda: self.store.finish(scope, side=side, head=head, body=stored),
            lambda _: tell(),
            tell,  # the work is done; an answer that could not be stored is still the answer
        )

    def unanswered(self, exchange: Exchange) -> None:
        """Leave the key open for another try on the same side."""
        scope = exchange.scope
        if scope is not None:
            exchange.scope = None
            self._reopen(scope, exchange.side.name, begun=exchange.begun)

    def _reopen(self, scope: bytes, side: str, *, begun: bool) -> None:
        self._run(
            lambda: self.store.reopen(scope, side=side, begun=begun),
            lambda _: None,
            lambda: None,
        )

    def _run(
        self, work: Callable[[], Any], then: Callable[[Any], None], otherwise: Callable[[], None]
    ) -> None:
        def finished(future: asyncio.Future[Any]) -> None:
            if future.cancelled() or future.exception() is not None:
                self.plane.refuse("idempotency_store_error")
                otherwise()
            else:
                then(future.result())

        self.plane.loop.run_in_executor(self.thread, work).add_done_callback(finished)

    def close(self) -> None:
        """Let the thread end with what it has."""
        self.thread.shutdown(wait=True)


def _asked(forward: bytes) -> list[bytes]:
    """Give what says in a head what is asked: the request line and the `Sync-` fields."""
    first, *fields = forward.split(b"\r\n")
    return [first, *sorted(field for field in fields if field[:5].lower() == b"sync-")]


def _too_large(answer: AnswerHead) -> Answer:
    """Make what stands in for an answer that is too large to keep."""
    detail = (
        f"This write was done and answered with {answer.status};"
        " that answer was too large to be kept."
    )
    sync_id = b"Sync-Id: %b\r\n" % answer.sync_id if answer.sync_id else b""
    return problem(410, detail, sync_id)


def _digest(*parts: Body) -> bytes:
    """Digest parts so that no two lists of parts give the same bytes."""
    whole = blake2b(digest_size=24)
    for part in parts:
        whole.update(b"%d:" % len(part))
        whole.update(part)
    return whole.digest()
