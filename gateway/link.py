"""
The link between the parent process (control, admin) and its data-plane workers.

One socketpair per worker carries JSON lines both ways. The parent sends `Routing`: a whole,
versioned value that a worker swaps in atomically; a lower version is ignored. A worker sends what
it saw: `Outcomes` at once when a request failed (coalesced per turn of its event loop) and
otherwise with the second's `Report`. Nothing on the request path waits for the link; a link that
closes ends the worker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from gateway.core.window import VariantSecond

__all__ = [
    "MAX_LINE_BYTES",
    "NOTHING_TO_COMPARE_WITH",
    "NOT_OPENED",
    "Applied",
    "BreakerChanged",
    "Drained",
    "Hello",
    "Message",
    "MirrorCounts",
    "Outcomes",
    "Report",
    "Routing",
    "ShadowCounts",
    "ShadowDiffered",
    "ShareAsks",
    "ShareGrants",
    "VariantSecond",
    "WriteBackCounts",
    "WriteBackFailed",
    "decode",
    "encode",
]

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
NOT_OPENED: Final = "difference_not_opened"
"""Of a shadow that was compared and differed, and into which nobody will look."""
NOTHING_TO_COMPARE_WITH: Final = "nothing_to_compare_with"
"""Of a shadow that was never due: the answer itself was an error."""


@dataclass(frozen=True, slots=True)
class Routing:
    """What a worker needs to route: the parent's word, whole.

    Weights are basis points to the canary. `salt` makes the sticky hash; it changes only when a
    rollout starts afresh. `mirror_rate` is the share (0..1) of mirrored requests, `mirror_to` the
    variant the shadow goes to, `mirror_dry` whether it must be a dry run, `control_rate` the share
    of shadows that also go to the system that answered. `stopped` outranks forced sides (emergency
    stop).
    """

    version: int
    salt: str
    write_weight_bp: int
    read_weight_bp: int
    phase: str
    status: str
    stopped: bool = False
    mirror_to: str | None = None
    mirror_rate: float = 0.0
    mirror_dry: bool = True
    control_rate: float = 0.0
    draining: bool = False
    write_back: bool = False
    """What new writes is written to old as well, for real."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Requests finished since the last message, in the order they finished.

    `runs` are (variant value, `Outcome` value, count) triples, run-length coded; IGNORED never
    appears.
    """

    worker: int
    at_us: int
    runs: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class ShadowCounts:
    """What became of one kind of shadow since the worker began; `failed` had no answer.

    Of shadows that gave nothing to compare (failed or dropped) the listings are lost. Timed are
    syncs that went well in both systems, of equally many listings.
    """

    matched: int = 0
    differed: int = 0
    failed: int = 0
    listings_matched: int = 0
    listings_differed: int = 0
    listings_lost: int = 0
    timed: int = 0
    timed_listings: int = 0
    timed_old_us: int = 0
    timed_shadow_us: int = 0
    unconfirmed: int = 0
    """Answers that did not confirm that they were dry runs."""
    unanswered: dict[str, int] = field(default_factory=dict)
    """Why those that failed had no answer."""
    dropped: dict[str, int] = field(default_factory=dict)
    """What was not sent, or not looked into, by reason."""


@dataclass(frozen=True, slots=True)
class MirrorCounts:
    """All shadows, those of the other system and the controls; what is under way is of now."""

    shadows: ShadowCounts = ShadowCounts()
    controls: ShadowCounts = ShadowCounts()
    in_flight: int = 0
    waiting: int = 0
    held_bytes: int = 0


@dataclass(frozen=True, slots=True)
class WriteBackCounts:
    """What became of write-backs since the worker began, and what waits now."""

    agreed: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    """By reason."""
    waiting: int = 0
    held_bytes: int = 0

    @property
    def failed(self) -> int:
        """All that failed."""
        return sum(self.failures.values())


@dataclass(frozen=True, slots=True)
class Report:
    """One second of one worker; sent every second even when nothing happened (silence means dead).

    `second` is the Unix second; `variants` count what clients asked, `copies` what shadows came to
    (no system without any); `cells` are cumulative metric values by full name with labels, ready to
    be summed and rendered, for scrapers alone: what decisions rest on comes in `variants`,
    `copies`, `mirror` and `write_backs`. `breakers` give the state per variant, `routing_version`
    what it routes by. `exemplars` give, per variant, a sampled request of that second: (trace id,
    duration in microseconds, Unix microseconds).
    """

    worker: int
    second: int
    routing_version: int
    variants: dict[str, VariantSecond]
    breakers: dict[str, str]
    cells: dict[str, float]
    connections: int = 0
    in_flight: int = 0
    copies: dict[str, VariantSecond] = field(default_factory=dict)
    exemplars: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    mirror: MirrorCounts = MirrorCounts()
    write_backs: WriteBackCounts = WriteBackCounts()


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A worker's circuit breaker moved; `state` is closed, open, half_open or isolated."""

    worker: int
    at_us: int
    variant: str
    state: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A worker routes by this version from here on; said at once, not with the second's report."""

    worker: int
    version: int


@dataclass(frozen=True, slots=True)
class ShadowDiffered:
    """A mirrored request whose two answers are not the same by status, digest or bytes.

    Pairs are (the answer the client got, the shadow's). `bodies` are base64, None when too large to
    hand on. Only some are sent under load; how many there were is in the report.
    """

    worker: int
    at_us: int
    variant: str
    sync_id: str
    path: str
    statuses: tuple[int, int]
    digests: tuple[str, str]
    records: tuple[int, int]
    bodies: tuple[str, str] | None = None
    request_id: str = ""
    control: bool = False
    """The shadow went to the very system that had answered."""


@dataclass(frozen=True, slots=True)
class WriteBackFailed:
    """What new wrote and old did not take, or may not have taken, or took otherwise.

    Times are Unix microseconds. `count` above 1: so many between both times, of which these are
    the ids of the first.
    """

    worker: int
    from_us: int
    to_us: int
    reason: str
    sync_id: str = ""
    request_id: str = ""
    path: str = ""
    listings: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class ShareAsks:
    """What a worker tells and wants of limits that hold over the fleet.

    `rows` are (scope, key, used, hand, ahead_us, want), see `core.shares.Ask`; a client's key is a
    digest. `probes` name upstreams whose circuit breaker would let a probe through. What is not
    `urgent` may wait a moment for what the other workers ask.
    """

    worker: int
    rows: tuple[tuple[str, str, int, int, int, int], ...] = ()
    probes: tuple[str, ...] = ()
    urgent: bool = True


@dataclass(frozen=True, slots=True)
class ShareGrants:
    """The parent's answer, and its word once a second.

    `holders` share the budgets now. `connected`: the fleet's ledger answers. `rows` are (scope,
    key, granted, credit, ahead_us), see `core.shares.Grant`; `probes` may be made.
    """

    holders: int
    connected: bool
    rows: tuple[tuple[str, str, int, int, int], ...] = ()
    probes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hello:
    """The first line of a worker: it listens (or could not: `error` says why)."""

    worker: int
    pid: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Drained:
    """The last line of a worker that was asked to leave: requests it finished while draining."""

    worker: int
    finished: int = 0


Message = (
    Routing
    | Applied
    | Outcomes
    | Report
    | BreakerChanged
    | ShadowDiffered
    | WriteBackFailed
    | ShareAsks
    | ShareGrants
    | Hello
    | Drained
)

_KINDS_OF_SHADOW: Final = frozenset({"shadows", "controls"})
_KINDS: Final[dict[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        Routing,
        Applied,
        Outcomes,
        Report,
        BreakerChanged,
        ShadowDiffered,
        WriteBackFailed,
        ShareAsks,
        ShareGrants,
        Hello,
        Drained,
    )
}


def encode(message: Message) -> bytes:
    """One line, newline included."""
    # orjson reads nested dataclasses by itself, a hundred times faster than `asdict`.
    fields = {field: getattr(message, field) for field in message.__slots__}
    return orjson.dumps({"kind": type(message).__name__, **fields}) + b"\n"


def decode(line: bytes) -> Message:
    """Give the message of one line; a foreign line raises ValueError."""
    raw = orjson.loads(line)
    try:
        kind = _KINDS[raw.pop("kind")]
        if kind is Report:
            raw |= _report(**raw)
        elif kind is Outcomes:
            raw["runs"] = tuple(map(tuple, raw["runs"]))
        elif kind in {ShareAsks, ShareGrants}:
            raw |= {"rows": tuple(map(tuple, raw["rows"])), "probes": tuple(raw["probes"])}
        elif kind is ShadowDiffered:
            raw |= {key: tuple(raw[key]) for key in ("statuses", "digests", "records")}
            raw["bodies"] = tuple(raw["bodies"]) if raw["bodies"] is not None else None
        message: Message = kind(**raw)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a message of this link: {line[:200]!r}") from error
    return message


def _report(
    *,
    variants: dict[str, dict[str, Any]],
    copies: dict[str, dict[str, Any]] | None = None,
    exemplars: dict[str, Any] | None = None,
    mirror: dict[str, Any] | None = None,
    write_backs: dict[str, Any] | None = None,
    **_: object,
) -> dict[str, Any]:
    """Read what a report holds of other classes; an older worker leaves some of it out."""
    mirror = mirror or {}
    shadows = {name: ShadowCounts(**mirror[name]) for name in _KINDS_OF_SHADOW & mirror.keys()}
    return {
        "variants": _seconds(variants),
        "copies": _seconds(copies or {}),
        "exemplars": {name: tuple(one) for name, one in (exemplars or {}).items()},
        "mirror": MirrorCounts(**{**mirror, **shadows}),
        "write_backs": WriteBackCounts(**(write_backs or {})),
    }


def _seconds(raw: dict[str, dict[str, Any]]) -> dict[str, VariantSecond]:
    return {
        name: VariantSecond(
            **{
                **second,
                "latency": tuple(map(tuple, second["latency"])),
                "pace": tuple(map(tuple, second["pace"])),
            }
        )
        for name, second in raw.items()
    }
