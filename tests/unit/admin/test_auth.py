"""Who may do what: tokens, scopes, loopback peers and the brake on guessing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date

import pytest

from gateway.admin import auth
from gateway.admin.auth import GuessBrake, Scope, match_token, token_digest


@dataclass(frozen=True)
class _Token:
    name: str
    scope: int
    sha256: bytes
    last_day: date | None = None


TODAY = date(2026, 11, 21)
TOKENS = (
    _Token("old", Scope.ADMIN, token_digest("expired-token"), date(2026, 11, 20)),
    _Token("ops", Scope.OPERATOR, token_digest("ops-token"), date(2026, 11, 21)),
    _Token("eye", Scope.VIEWER, token_digest("eye-token")),
)


@pytest.mark.parametrize(("secret", "name"), [("ops-token", "ops"), ("eye-token", "eye")])
def test_a_right_token_names_its_holder(secret, name):
    """The last day itself still counts."""
    token = match_token(TOKENS, token_digest(secret), TODAY)
    assert token is not None
    assert token.name == name


@pytest.mark.parametrize("secret", ["expired-token", "ops-token ", "OPS-TOKEN", "", "\udcff"])
def test_wrong_and_expired_tokens_are_nobody(secret):
    """Nothing is trimmed, folded or forgiven."""
    assert match_token(TOKENS, token_digest(secret), TODAY) is None


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        (None, None),
        ("", None),
    ],
)
def test_only_bearer_carries_a_token(header, token):
    """Any other scheme is no credential here."""
    assert auth.bearer(header) == token


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_loopback_peers_are_addresses_of_this_machine(address, here):
    """A peer is judged by its address, never by a name."""
    assert auth.is_loopback(address) is here


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("LOCALHOST:8090", True),
        ("127.0.0.1:8090", True),
        ("[::1]:8090", True),
        ("rebound.example:8090", False),
        ("127.0.0.1.example", False),
        ("localhost.example", False),
        ("", False),
        (None, False),
    ],
)
def test_a_rebound_name_is_not_this_machine(host, here):
    """DNS rebinding keeps the stranger's name in the Host header."""
    assert auth.is_loopback_host(host) is here


class TestGuessBrake:
    """Wrong tokens become slow, in bounds."""

    def test_the_first_ones_are_free_and_the_delay_is_capped(self):
        """A typo costs nothing; a thousand guesses wait at most a second each."""
        brake = GuessBrake(lambda: 0.0)
        delays = [brake.note("10.0.0.1") for _ in range(1000)]
        assert set(delays[: auth.FREE_FAILURES]) == {0.0}
        assert delays[auth.FREE_FAILURES] > 0
        assert max(delays) == auth.SLOWEST_ANSWER_S

    def test_another_address_is_not_slowed(self):
        """One guesser is no lever against others."""
        brake = GuessBrake(lambda: 0.0)
        for _ in range(100):
            brake.note("10.0.0.1")
        assert brake.note("10.0.0.2") == 0.0

    def test_a_quiet_minute_forgives(self):
        """Failures are forgotten after a minute."""
        now = [0.0]
        brake = GuessBrake(lambda: now[0])
        for _ in range(100):
            brake.note("10.0.0.1")
        now[0] = auth.FAILURE_MEMORY_S + 1.0
        assert brake.note("10.0.0.1") == 0.0

    def test_memory_is_bounded(self):
        """A million addresses cost no more than a thousand."""
        brake = GuessBrake(lambda: 0.0)
        for number in range(3 * auth.ADDRESSES_REMEMBERED):
            brake.note(str(number))
        assert len(brake._failures) == auth.ADDRESSES_REMEMBERED

    async def test_only_so_many_wait_at_once(self):
        """Beyond the bound the answer is no, at once, instead of one more sleeper."""
        brake = GuessBrake(lambda: 0.0)
        for _ in range(100):
            brake.note("10.0.0.1")
        waiting = [
            asyncio.ensure_future(brake.wrong("10.0.0.1")) for _ in range(auth.SLOW_ANSWERS_AT_ONCE)
        ]
        await asyncio.sleep(0)
        assert await brake.wrong("10.0.0.1") is False
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert brake._waiting == 0
