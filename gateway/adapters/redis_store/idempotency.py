"""
Idempotency keys in Redis, for all workers of all replicas: `KeyStore` with `SqliteKeys`' behaviour.

Time is Redis's; the caller's clock is not asked. A claim whose answer was lost is made again under
the same number, and if Redis stays silent it is opened again as soon as Redis answers: nothing was
sent under it, so nobody must wait for it to run out.
"""

from __future__ import annotations

import secrets
from collections import deque
from typing import TYPE_CHECKING, Final

from gateway.adapters.redis_store.address import read_address
from gateway.adapters.redis_store.client import open_blocking_client
from gateway.adapters.redis_store.failures import may_have_been_done, translated
from gateway.adapters.redis_store.keys import Keys
from gateway.adapters.redis_store.scripts import Script
from gateway.errors import StoreUnavailableError
from gateway.ports.keys import Claim, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from gateway.adapters.redis_store.scripts import Argument

MAX_ROWS: Final = 100_000
MAX_BYTES: Final = 1024 * 1024 * 1024
THREADS: Final = 8
_DOUBTFUL: Final = 10_000
_CLAIM: Final = Script.read("claim")
_SETTLE: Final = Script.read("settle")


class RedisKeys:
    """See the module. Calls block; they may come from up to `threads` threads at once."""

    threads = THREADS

    def __init__(self, url: str, *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        self._address = read_address(url)
        self._keys = Keys(self._address.prefix)
        self._client = open_blocking_client(self._address, max_connections=THREADS)
        self._bounds = (max_rows // self._keys.SHARDS, max_bytes // self._keys.SHARDS)
        self._doubtful: deque[tuple[bytes, str, str]] = deque(maxlen=_DOUBTFUL)

    def claim(
        self, scope: bytes, fingerprint: bytes, *, side: str, now_s: int, lease_s: int, ttl_s: int
    ) -> Claim:
        """Take the key, or say what is known of it."""
        del now_s
        number = secrets.token_hex(8)
        arguments: list[Argument] = [
            number,
            fingerprint,
            side,
            lease_s * 1_000,
            ttl_s * 1_000,
            *self._bounds,
        ]
        try:
            answer = self._twice(_CLAIM, scope, arguments)
        except StoreUnavailableError as error:
            if may_have_been_done(error):
                self._doubtful.append((scope, side, number))
            raise
        self._open_doubtful()
        verdict, first_side, head, body = answer
        return Claim(Verdict(verdict.decode()), first_side.decode(), head, body)

    def finish(self, scope: bytes, *, side: str, head: bytes, body: bytes) -> None:
        """Store the final answer."""
        self._twice(_SETTLE, scope, [side, "done", head, body, ""])

    def reopen(self, scope: bytes, *, side: str, begun: bool) -> None:
        """Let the same request try again on this side; `begun`: part of it may have arrived."""
        self._twice(_SETTLE, scope, [side, "begun" if begun else "open", "", "", ""])

    def _twice(self, script: Script, scope: bytes, arguments: Sequence[Argument]) -> Any:
        """Call, and call again if no answer came: a connection may have died unnoticed."""
        try:
            return self._call(script, scope, arguments)
        except StoreUnavailableError as error:
            if not may_have_been_done(error):
                raise
        return self._call(script, scope, arguments)

    def _call(self, script: Script, scope: bytes, arguments: Sequence[Argument]) -> Any:
        with translated(str(self._address)):
            return script.run_blocking(self._client, self._keys.idempotency(scope), arguments)

    def _open_doubtful(self) -> None:
        """Redis answers again: open what was perhaps claimed while it did not."""
        while self._doubtful:
            try:
                scope, side, number = self._doubtful.popleft()
            except IndexError:
                return  # another thread was quicker
            try:
                self._call(_SETTLE, scope, [side, "open", "", "", number])
            except StoreUnavailableError:
                self._doubtful.append((scope, side, number))
                return

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
