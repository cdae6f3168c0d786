"""Where idempotency keys are kept: the port, and what is known of a key."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol


class Verdict(StrEnum):
    """What became of a claim."""

    CLAIMED = "claimed"
    """Nothing was sent under this key yet; it is the caller's now."""
    RESUMED = "resumed"
    """It is the caller's now, but an earlier attempt may have been begun on its side."""
    UNDER_WAY = "under_way"
    """Somebody else holds it."""
    OTHER_REQUEST = "other_request"
    """It was used for another request."""
    DONE = "done"
    """It has its final answer."""


class Claim(NamedTuple):
    """A verdict, the side that the key belongs to, and the stored answer if it is done."""

    verdict: Verdict
    side: str
    head: bytes = b""
    body: bytes = b""


class KeyStore(Protocol):
    """Where keys are kept. Calls block and come from `threads` threads at most.

    Any exception means that the store cannot be reached.
    """

    @property
    def threads(self) -> int:
        """How many calls it takes at once."""
        ...

    def claim(
        self, scope: bytes, fingerprint: bytes, *, side: str, now_s: int, lease_s: int, ttl_s: int
    ) -> Claim:
        """Take the key, or say what is known of it.

        A claim that nobody ended counts as given up `lease_s` seconds later; a key is forgotten
        `ttl_s` seconds after its last claim. A key that is known keeps its side.
        """
        ...

    def finish(self, scope: bytes, *, side: str, head: bytes, body: bytes) -> None:
        """Store the final answer."""
        ...

    def reopen(self, scope: bytes, *, side: str, begun: bool) -> None:
        """Let the same request try again on this side; `begun`: part of it may have arrived."""
        ...
