"""
What every store of idempotency keys must do, whatever it is made of.

A test module subclasses `KeyStoreContract` and gives `store`, `clock` (the caller's seconds) and
`passes(seconds)`, which lets the store's time pass.
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ports.keys import KeyStore

PRINT = b"p" * 24


@pytest.fixture
def scope() -> bytes:
    """A key of the test's own."""
    return secrets.token_bytes(24)


class KeyStoreContract:
    """See the module."""

    @pytest.fixture
    def claim(self, store: KeyStore, clock: Callable[[], int]) -> Callable[..., tuple]:
        """Claim with the usual figures: a lease of one second, known for two."""

        def claim(scope: bytes, print_: bytes = PRINT, *, side: str = "old") -> tuple:
            return store.claim(scope, print_, side=side, now_s=clock(), lease_s=1, ttl_s=2)

        return claim

    def test_the_first_has_it(self, claim: Callable[..., tuple], scope: bytes) -> None:
        """The second is told that it is under way, and where."""
        assert claim(scope) == ("claimed", "old", b"", b"")
        assert claim(scope, side="new") == ("under_way", "old", b"", b"")

    def test_the_answer_comes_back(
        self, store: KeyStore, claim: Callable[..., tuple], scope: bytes
    ) -> None:
        """Byte for byte, with its system."""
        claim(scope, side="new")
        body = bytes(range(256)) * 1_000
        store.finish(scope, side="old", head=b"HTTP/1.1 201 Created\r\n", body=body)
        assert claim(scope, side="new") == ("done", "old", b"HTTP/1.1 201 Created\r\n", body)
        store.reopen(scope, side="new", begun=True)
        assert claim(scope)[0] == "done"

    def test_another_request_is_told_apart(
        self, store: KeyStore, claim: Callable[..., tuple], scope: bytes
    ) -> None:
        """While it is under way and afterwards; its answer is nobody else's."""
        claim(scope)
        assert claim(scope, b"q" * 24) == ("other_request", "old", b"", b"")
        store.finish(scope, side="old", head=b"head", body=b"body")
        assert claim(scope, b"q" * 24) == ("other_request", "old", b"", b"")

    def test_a_reopened_key_stays_on_its_side(
        self, store: KeyStore, claim: Callable[..., tuple], scope: bytes
    ) -> None:
        """Another try may be made, by whoever is first, where the first was made."""
        claim(scope, side="new")
        store.reopen(scope, side="new", begun=False)
        assert claim(scope, side="old") == ("claimed", "new", b"", b"")
        assert claim(scope, side="old")[0] == "under_way"

    def test_what_may_have_arrived_stays_so(
        self, store: KeyStore, claim: Callable[..., tuple], scope: bytes
    ) -> None:
        """Every later claim is told, also after one that sent nothing."""
        claim(scope, side="new")
        store.reopen(scope, side="new", begun=True)
        assert claim(scope) == ("resumed", "new", b"", b"")
        store.reopen(scope, side="new", begun=False)
        assert claim(scope) == ("resumed", "new", b"", b"")

    def test_a_claim_of_somebody_who_died_is_taken_over(
        self, claim: Callable[..., tuple], scope: bytes, passes: Callable[[float], None]
    ) -> None:
        """After the lease, not before; on the same side, where it may have begun."""
        claim(scope, side="new")
        passes(0.4)
        assert claim(scope)[0] == "under_way"
        passes(0.9)
        assert claim(scope) == ("resumed", "new", b"", b"")

    def test_a_key_is_known_for_so_long(
        self,
        store: KeyStore,
        claim: Callable[..., tuple],
        scope: bytes,
        passes: Callable[[float], None],
    ) -> None:
        """Then it is a new one, with any request, on any side."""
        claim(scope)
        store.finish(scope, side="old", head=b"head", body=b"body")
        passes(1)
        assert claim(scope)[0] == "done"
        passes(1.3)
        assert claim(scope, b"q" * 24, side="new") == ("claimed", "new", b"", b"")

    def test_what_nobody_claimed_is_not_stored(
        self, store: KeyStore, claim: Callable[..., tuple], scope: bytes
    ) -> None:
        """An answer that comes after its key is gone."""
        store.finish(scope, side="old", head=b"head", body=b"body")
        store.reopen(scope, side="old", begun=True)
        assert claim(scope)[0] == "claimed"

    def test_of_many_at_once_one_has_it(
        self, store: KeyStore, claim: Callable[..., tuple], scope: bytes
    ) -> None:
        """From as many threads as the store takes."""
        with ThreadPoolExecutor(store.threads) as threads:
            verdicts = list(threads.map(lambda _: claim(scope)[0], range(200)))
        assert verdicts.count("claimed") == 1
        assert verdicts.count("under_way") == 199
