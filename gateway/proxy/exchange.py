"""
One request's life: admit, assign, send, fail over, record, answer. One synchronous chain.

Who answers for a failure:

- *Canary, nothing was applied* (no connection, breaker open): the baseline serves the client, and
  the failure still counts against the canary.
- *A read without an answer* on a connection that had served before: once more on another one,
  within the retry budget; the connection may just have been old.
- *A write that may have arrived* goes to no other system. It is sent again only if its key makes
  that safe: once more, to the same system (`keyed`).
- *A canary that is busy* refuses, 503: to serve its clients from the baseline would hide that.
- *The baseline's failures* are told to the client, 502, 503 or 504; they never turn into traffic
  for the canary.
"""

from __future__ import annotations

from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Final

from gateway.core.breaker import BreakerState, Permit
from gateway.core.model import Outcome
from gateway.ports.spans import Span
from gateway.proxy.guard import NO_BODY
from gateway.proxy.problems import limited, problem, unavailable
from gateway.proxy.upstream import Failure

if TYPE_CHECKING:
    from gateway.core.breaker import Rejected
    from gateway.core.limiter import Admission
    from gateway.proxy.answers import AnswerHead
    from gateway.proxy.bodies import Body
    from gateway.proxy.guard import Head
    from gateway.proxy.plane import Plane, Side
    from gateway.proxy.problems import Answer
    from gateway.proxy.protocol import ClientConnection
    from gateway.proxy.tracing import Tracing

_SECOND_US: Final = 1_000_000
_CLOSED: Final = BreakerState.CLOSED
_ERROR: Final = int(Outcome.ERROR)
_IGNORED: Final = int(Outcome.IGNORED)


class Exchange:
    """A `Call` of the pool on behalf of one client's request."""

    agrees = None
    __slots__ = (
        "begun", "body", "client", "deadline_us", "forced", "head", "kept", "permit", "plane",
        "request_head", "request_id", "retried", "scope", "side", "span", "started_us", "to_head",
    )  # fmt: skip

    def __init__(self, plane: Plane, client: ClientConnection, head: Head, body: Body) -> None:
        self.plane = plane
        self.client: ClientConnection | None = client
        self.head = head
        self.body = body
        self.to_head = head.is_head
        self.retried = False
        self.kept = True
        self.forced = False
        self.begun = False
        self.scope: bytes | None = None
        self.span: tuple[bytes, bytes, bytes | None] | None = None

    # --- out ---

    def start(self) -> None:
        """Admit, assign and send."""
        plane, head, client = self.plane, self.head, self.client
        now_us = self.started_us = monotonic_ns() // 1000
        self.request_id = head.request_id or plane.request_id()
        if plane.in_flight >= plane.in_flight_cap:
            plane.refuse("overload")
            self._reply(unavailable("The gateway is at its limit; try again.", 1))
            return
        if plane.client_limits is not None and client is not None:
            admission = plane.client_limits.admit(head.api_key or client.address, now_us)
            if not admission.allowed:
                self._limit(admission)
                return
        plane.in_flight += 1
        plane.retries.requests += 1
        self.deadline_us = now_us + (plane.read_us if head.is_read else plane.write_us)
        if head.forced is not None:
            self.forced = plane.may_force(head)
        if head.idempotency_key is not None and plane.keyed is not None and not head.is_read:
            plane.keyed.begin(self)
            return
        self._send(plane.assign(head), now_us)

    def send_to(self, side: Side) -> None:
        """Go on with a write whose key is claimed."""
        self._send(side, monotonic_ns() // 1000)

    def replay(self, side: Side, answer: Answer) -> None:
        """End a write that was done before with the answer that it got then, from that side."""
        self.plane.replays += 1
        self._leave()
        self._reply(answer, side.mark)

    def turn_away(self, answer: Answer, reason: str) -> None:
        """End a write whose key is not free."""
        self.plane.refuse(reason)
        self._leave()
        self._reply(answer)

    def _limit(self, admission: Admission) -> None:
        """Tell a client that it asked too often, and when to come back."""
        self.plane.refuse("client_limit")
        settings = self.plane.settings
        self._reply(
            limited(
                "Too many requests from this client.",
                name="client",
                quota=settings.rate_limit_burst,
                window_s=max(1, round(settings.rate_limit_burst / settings.rate_limit_per_second)),
                retry_after_s=-(-admission.retry_after_us // _SECOND_US),
            )
        )

    def _send(self, side: Side, now_us: int) -> None:
        self.side = side
        breaker = side.breaker
        decision = breaker.permit if breaker.state is _CLOSED else side.admit(now_us)
        if not isinstance(decision, Permit):
            self._shut_out(side, decision, now_us)
            return
        plane = self.plane
        wait_us = plane.admit_upstream(side, now_us) if plane.upstream_quota is not None else 0
        if wait_us:
            side.settle(decision, now_us, ok=None)
            plane.refuse("upstream_limit")
            rate = max(1, int(plane.settings.upstream_limit_per_second))
            self._leave()
            self._reply(
                limited(
                    "Too many requests for this system.",
                    name="upstream", quota=rate, window_s=1,
                    retry_after_s=-(-wait_us // _SECOND_US),
                )
            )  # fmt: skip
            return
        self.permit = decision
        self._write_head(side)
        client = self.client
        sent = side.pool.submit(self, first=client is not None and not client.answered)
        if sent and not self.head.is_read and self.scope is None and not plane.repeats:
            self.body, self.kept = b"", False  # never sent again: the next one takes the memory

    def _write_head(self, side: Side) -> None:
        head, client, identity = self.head, self.client, self.request_id
        trace = head.traceparent
        if trace is None:
            own = identity if head.request_id is None else self.plane.request_id()
            trace = b"00-%b-%b-00" % (own, own[16:])
        if self.plane.tracing is not None:
            trace = self._trace(trace, self.plane.tracing)
        self.request_head = b"".join(
            (
                head.forward,
                side.pool.host_line,
                b"" if head.length == NO_BODY else b"Content-Length: %d\r\n" % len(self.body),
                b"X-Request-Id: ",
                identity,
                b"\r\ntraceparent: ",
                trace,
                b"\r\n\r\n" if client is None else client.forwarded,
            )
        )

    def _trace(self, trace: bytes, tracing: Tracing) -> bytes:
        """Make the gateway's own span the parent of what the system does, if it is sampled."""
        if self.span is None:
            self.span = tracing.begin(trace, own=self.head.traceparent is None)
        return trace if self.span is None else b"00-%b-%b-01" % self.span[:2]

    def _end_span(self, status: int) -> None:
        tracing, end_ns = self.plane.tracing, time_ns()
        if tracing is None or self.span is None:
            return
        trace_id, span_id, parent_id = self.span
        took_ns = monotonic_ns() - self.started_us * 1000
        tracing.end(
            Span(
                trace_id, span_id, parent_id, end_ns - took_ns, end_ns, self.head.method,
                self.head.path, self.side.name, status, self.request_id,
            )
        )  # fmt: skip

    def _shut_out(self, side: Side, rejected: Rejected, now_us: int) -> None:
        """Go on without a side whose breaker is open."""
        if side.is_canary and not (self.forced or self.begun):
            self.plane.record_shut_out(side, now_us)
            self._fall_back(side, "breaker_open", now_us)
            return
        self.plane.record(side, _IGNORED, now_us, 0)
        retry_after_s = max(1, -(-(rejected.retry_after_us or 0) // _SECOND_US))
        self._leave()
        self._reply(unavailable("The system behind the gateway is failing.", retry_after_s))

    def _fall_back(self, side: Side, reason: str, now_us: int) -> None:
        """Let the baseline serve what the canary could not."""
        side.fallbacks += 1
        side.failures[reason] = side.failures.get(reason, 0) + 1
        self._send(self.plane.old, now_us)

    # --- back ---

    def answered(self, answer: AnswerHead, body: Body) -> None:
        """Take the upstream's answer: record it, hand it to the client."""
        now_us = monotonic_ns() // 1000
        side, plane, gone = self.side, self.plane, self.client is None
        outcome = _IGNORED if gone else answer.outcome
        side.settle(self.permit, now_us, ok=None if gone else outcome != _ERROR)
        took_us = now_us - self.started_us
        if answer.sync_records:
            plane.record_sync(side, outcome, now_us, took_us, answer.sync_records)
        else:
            plane.record(side, outcome, now_us, took_us)
        if plane.access_log.every:
            plane.access_log.note(self, answer.status, took_us)
        if self.scope is None or plane.keyed is None:
            self._tell(answer, body)
        else:
            plane.keyed.answered(self, answer, body, lambda: self._tell(answer, body))

    def _tell(self, answer: AnswerHead, body: Body) -> None:
        plane, client = self.plane, self.client
        if self.span is not None:
            self._end_span(answer.status)
        plane.in_flight -= 1
        if client is not None:
            client.answer(
                answer.forward, self.side.mark, self.request_id, b"" if self.to_head else body
            )
        if plane.mirror.target is not None and self.kept:
            plane.mirror.shadow(self, answer, body)
        if plane.write_backs.on:
            plane.write_backs.take(self, answer, body)

    def interim(self, answer: AnswerHead) -> None:
        """Pass an early hint on; 100 Continue was settled between client and gateway."""
        if self.client is not None and answer.status != 100:  # noqa: PLR2004 - 100 Continue
            self.client.interim(answer.forward + b"\r\n")

    def failed(self, failure: Failure, *, reused: bool) -> None:
        """Take notice that there is no answer, and decide who serves the client now."""
        now_us = monotonic_ns() // 1000
        side, plane = self.side, self.plane
        if failure.sent and not self.head.is_read:
            self.begun = True
        elif self.begun and self.retried:
            failure = Failure.NO_ANSWER  # what counts is the attempt that may have arrived
        if failure is Failure.SATURATED:
            side.settle(self.permit, now_us, ok=None)
            plane.record(side, _IGNORED, now_us, 0)
            plane.refuse("upstream_saturated")
            self._leave()
            self._reply(unavailable("The system behind the gateway is busy.", 1))
            return
        if self._may_repeat(failure, reused=reused):
            self.retried = True
            side.retries += 1
            side.pool.submit(self, fresh=True)
            return
        if plane.write_backs.on:
            plane.write_backs.unanswered(self, failure)
        if self.client is None:
            side.settle(self.permit, now_us, ok=None)
            plane.record(side, _IGNORED, now_us, 0)
            self._leave()
            return
        side.settle(self.permit, now_us, ok=False)
        if side.is_canary and not (failure.sent or self.forced or self.begun):
            plane.record(side, _ERROR, now_us, now_us - self.started_us)
            self._fall_back(side, failure.name.lower(), now_us)
            return
        side.failures[failure.name.lower()] = side.failures.get(failure.name.lower(), 0) + 1
        plane.record(side, _ERROR, now_us, now_us - self.started_us)
        self._leave()
        self._reply(problem(failure.status, f"No answer from the system: {failure.reason}."))

    def _may_repeat(self, failure: Failure, *, reused: bool) -> bool:
        return (
            failure is Failure.NO_ANSWER
            and reused
            and not self.retried
            and self.client is not None
            and (self.head.is_read or self.scope is not None)
            and self.plane.retries.take()
        )

    def _leave(self) -> None:
        plane = self.plane
        plane.in_flight -= 1
        if self.scope is not None and plane.keyed is not None:
            plane.keyed.unanswered(self)

    def _reply(self, answer: Answer, mark: bytes | None = None) -> None:
        """Answer from the gateway itself; `mark` completes the fields in place of its own."""
        if self.span is not None:
            self._end_span(answer.status)
        if self.client is not None:
            self.client.answer(
                answer.head,
                mark or self.plane.mark,
                self.request_id,
                b"" if self.to_head else answer.body,
            )
