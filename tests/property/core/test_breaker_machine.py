"""The breaker against a reference that remembers everything and derives the state from scratch."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.core.breaker import (
    CLOSED,
    Behaviour,
    BreakerState,
    Permit,
    Rejected,
    admit,
    isolate,
    record,
    release,
)
from tests.support.scale import scale

OPEN_US = 1_000


class BreakerAgainstItsHistory(RuleBasedStateMachine):
    """Requests come and go in any order, late or never, while the clock moves both ways."""

    def __init__(self):
        super().__init__()
        self.now_us = 1_790_000_000_000_000
        self.breaker = CLOSED
        self.out: list[tuple[int, Permit]] = []
        self.epoch = 0  # counts the reference's own changes of state
        self.expected = "closed"
        self.results: list[bool] = []
        self.trying = 0
        self.waited_us = 0

    @initialize(failures=st.integers(1, 4), probes=st.integers(1, 3))
    def configure(self, failures, probes):
        """Any threshold, any number of probes."""
        self.behaviour = Behaviour(failures=failures, open_us=OPEN_US, probes=probes)

    def becomes(self, state):
        """Move the reference."""
        self.expected, self.epoch = state, self.epoch + 1
        self.results, self.trying, self.waited_us = [], 0, 0

    @rule(step_us=st.integers(0, OPEN_US // 2) | st.just(OPEN_US))
    def time_passes(self, step_us):
        """The clock moves on."""
        self.now_us += step_us
        self.waited_us += step_us

    @rule(step_us=st.integers(1, 10 * OPEN_US))
    def time_runs_back(self, step_us):
        """The clock is set back; the next look at it starts the wait again."""
        self.now_us -= step_us
        self.waited_us -= step_us

    @rule()
    def a_request_comes(self):
        """It is let through exactly when the reference would let it through."""
        answer, self.breaker = admit(self.breaker, self.behaviour, self.now_us)
        if self.expected not in {"closed", "isolated"}:
            self.waited_us = max(0, self.waited_us)
        if self.expected == "closed":
            let_in = True
        elif self.expected == "isolated":
            let_in = False
        elif self.expected == "half_open" and self.trying < self.behaviour.probes:
            let_in = True
            self.trying += 1
        elif self.waited_us >= OPEN_US:
            let_in = True
            self.becomes("half_open")
            self.trying = 1
        else:
            let_in = False
        assert isinstance(answer, Permit) == let_in
        if let_in:
            self.out.append((self.epoch, answer))
        elif self.expected != "isolated":
            assert isinstance(answer, Rejected)
            assert answer.retry_after_us == OPEN_US - self.waited_us

    @rule(pick=st.integers(0, 10**6), ok=st.sampled_from([True, False, False, None]))
    def a_result_comes(self, pick, ok):
        """Any request that is still out ends, in any order."""
        if not self.out:
            return
        epoch, permit = self.out.pop(pick % len(self.out))
        self.breaker = record(self.breaker, self.behaviour, permit, ok=ok, now_us=self.now_us)
        if epoch != self.epoch:
            return
        if ok is None:
            self.trying -= self.expected == "half_open"
            return
        self.results.append(ok)
        recent = self.results[-self.behaviour.failures :]
        if self.expected == "closed":
            if len(recent) == self.behaviour.failures and not any(recent):
                self.becomes("open")
        elif not ok:
            self.becomes("open")
        elif len(self.results) == self.behaviour.probes:
            self.becomes("closed")

    @rule()
    def somebody_isolates(self):
        """An operator takes it out."""
        self.breaker = isolate(self.breaker, self.now_us)
        if self.expected != "isolated":
            self.becomes("isolated")

    @rule()
    def somebody_releases(self):
        """An operator puts it back."""
        self.breaker = release(self.breaker, self.now_us)
        if self.expected == "isolated":
            self.becomes("closed")

    @invariant()
    def agrees(self):
        """State and number of changes are those of the reference, at every moment."""
        assert self.breaker.state is BreakerState(self.expected)
        assert self.breaker.generation == self.epoch

    @invariant()
    def half_open_is_narrow(self):
        """Never more than the allowed probes are out in one generation."""
        assert self.breaker.probes_out <= max(
            1, self.behaviour.probes if hasattr(self, "behaviour") else 1
        )


TestBreakerAgainstItsHistory = BreakerAgainstItsHistory.TestCase
TestBreakerAgainstItsHistory.settings = settings(
    max_examples=scale(full=2_000, quick=60), stateful_step_count=50, deadline=None
)
