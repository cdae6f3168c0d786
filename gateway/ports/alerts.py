"""
Alerts on their way to people: what is told, how it is kept until it arrived, and who carries it.

`control/alerting` decides with `core.alerts` what has to be told and stores it as deliveries in the
same transaction as the book of incidents. A sender loop takes what is due, has it rendered and
gives it to a channel. What fails is tried again; what can never arrive is "dead" and stays listed.
A delivery is made at least once: its `id` is stable, so that whoever receives it can tell repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from gateway.core.alerts import Stage
from gateway.core.analysis import Severity
from gateway.errors import SyncgateError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.alerts import AlertPlan, Book, Incident, Sign, Silence
    from gateway.ports.record import Actor

__all__ = [
    "MOST_UNSTORED",
    "AlertDesk",
    "AlertLinks",
    "AlertSettings",
    "AlertStore",
    "AlertsView",
    "Channel",
    "ChannelRefusedError",
    "ChannelSettings",
    "ChannelUnreachableError",
    "Delivery",
    "DeliveryRecord",
    "DeliveryState",
    "Ended",
    "Figures",
    "Language",
    "LinkState",
    "Messages",
    "Rendered",
    "Severity",
    "Stage",
    "StoredBook",
]

MOST_UNSTORED: Final = 2_000
"""So many deliveries may wait in memory for a store that is away, and are sent from there."""

Figures = Mapping[str, object]
"""What a message is filled with: plain JSON values. Every key may be missing; see `Delivery`."""


class Language(StrEnum):
    """The languages of the operators."""

    JA = "ja"
    EN = "en"


class ChannelUnreachableError(UnreachableError):
    """The channel did not take it now; worth trying again, at the earliest after `retry_after_s`.

    The message names the channel's kind and the trouble, never an address, a token or a URL.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, todo: str = "") -> None:
        super().__init__(message, todo=todo)
        self.retry_after_s = retry_after_s


class ChannelRefusedError(SyncgateError):
    """The channel will never take this one (bad credentials, unknown receiver): it is dead."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one channel in one language, stored until it arrived or is dead.

    `figures` holds, where it applies (times in microseconds, spans in seconds, ratios 0..1):
    `title` and `why` (sentences in the delivery's language), `rule`, `system` (`old`, `new` or
    absent: the whole), `value`, `threshold`, `value_text`, `threshold_text` (with their unit),
    `sample`, `window_s`, `raised_us`, `answer_by_us`, `lasted_s` (resolved: how long it took),
    `acknowledged_by`, `acknowledged_reason`, `names` (list: who is asked now), `step` and
    `step_title` (where the escalation stands), `phase`, `before` (phase), `status`,
    `weight_percent`, `baked_s`, `decision`, `deadline_us`, `actor`, `todo` (the exact command),
    `link` (a signed address that acknowledges), `silenced_s`. Text from outside is in there as it
    came: whoever renders it makes it inert for the channel.
    """

    id: str
    """Unique for good and the same at every attempt, also after a crash."""
    incident: int
    """The incident's number; 0: news without one."""
    channel: str
    """Its name in the configuration, such as `slack-critical`."""
    level: Severity
    stage: Stage
    language: Language
    message: str
    """The template: `alert` for incidents of rules, else the news' own (`started`, `promoted`,
    `completed`, `rollback`, `emergency_stop`, `decision`, `promotion_wanted`, `notice`, `test`,
    `cause_due`, ...). Together with `stage` it says which text; an unknown one is told with the
    general template, never dropped."""
    figures: Figures
    made_us: int
    attempts: int = 0
    """Finished tries, all failed."""
    next_us: int = 0
    """Not before this."""


class DeliveryState(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery as people look at it."""

    delivery: Delivery
    state: DeliveryState
    settled_us: int | None = None
    """When it arrived or was given up."""
    reason: str = ""
    """Why the newest try failed."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message in words. All of it is plain text: a channel adds its own markup and escapes."""

    id: str
    """The delivery's, for whoever recognises repeats by it."""
    incident: int
    level: Severity
    stage: Stage
    language: Language
    title: str
    """One line, without line breaks: a mail's subject, a block's heading."""
    text: str
    """The whole in lines, without the title."""
    short: str
    """What fits into one SMS, the most important first; includes the link if it fits."""
    facts: tuple[tuple[str, str], ...] = ()
    """Labelled figures, for channels that can lay them out; also contained in `text`."""
    todo: str = ""
    """What to do next: the exact command. Also contained in `text`."""
    link: str | None = None
    """Where it is acknowledged. Also contained in `text`."""
    key: str = ""
    """Which trouble it is of (rule and system): the same while it lasts, for channels that group.
    """
    at_us: int = 0
    """When the delivery was made."""
    figures: Figures = field(default_factory=dict)
    """What it was filled with, for channels whose receivers are programs."""


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel as the configuration names it. Secrets are named there, never written there."""

    name: str
    kind: str
    """slack, email, sms, webhook, alertmanager or log."""
    languages: tuple[Language, ...] = ()
    """Only these; empty: those of the alert's level."""
    to: tuple[str, ...] = ()
    """Addresses or numbers, where the kind has receivers."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """What the kind needs (`url`, `user`, `password`, `token`, `key`, ...) -> the environment
    variable that holds it."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Everything else the kind takes."""
    per_minute: int = 60
    """No more messages than this; the others wait."""


class Messages(Protocol):
    """Turns a delivery into words, in its language. Never raises: worst, a general text."""

    def render(self, delivery: Delivery) -> Rendered:
        """Fill the template."""
        ...


class Channel(Protocol):
    """One way to reach people."""

    async def send(self, message: Rendered) -> None:
        """Hand it over, with a deadline of its own.

        Raises ChannelUnreachableError (also a plain UnreachableError) to be tried again, and
        ChannelRefusedError when that would be useless.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class StoredBook:
    """The book of incidents as stored: a version that only grows, and the document."""

    version: int
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Ended:
    """An incident that is over, kept for a bounded time for reports."""

    number: int
    rule: str
    system: str | None
    level: Severity
    """The worst it reached."""
    raised_us: int
    ended_us: int
    document: Mapping[str, object]
    """All of it, as `core.alerts` writes incidents."""


class AlertStore(Protocol):
    """Keeps the book, the deliveries and what is over.

    Every call is one transaction. StoreUnavailableError when it cannot be made now;
    VersionConflictError when somebody else changed the book first; StateUnreadableError when what
    is stored is no book of ours.
    """

    async def load(self) -> StoredBook | None:
        """Read the book; None if there never was one."""
        ...

    async def commit(
        self,
        document: Mapping[str, object],
        *,
        expected_version: int,
        token: int,
        deliveries: Sequence[Delivery] = (),
        ended: Sequence[Ended] = (),
    ) -> int:
        """Store the book with what follows from it, whole or not at all; give its new version.

        `token` is the writer's fencing token: one lower than the highest seen raises
        VersionConflictError; 0 acts for a person, and only the version decides. A delivery or an
        ended incident that is there already stays as it is.
        """
        ...

    async def due(self, *, now_us: int, limit: int = 100) -> list[Delivery]:
        """Read waiting deliveries whose time has come: worst level first, then oldest first."""
        ...

    async def next_due_us(self) -> int | None:
        """Say when the earliest waiting delivery is due; None: nothing waits."""
        ...

    async def delivered(self, delivery_id: str, *, at_us: int) -> None:
        """Note that it arrived; of one that is settled or unknown nothing changes."""
        ...

    async def failed(self, delivery_id: str, *, next_us: int, reason: str) -> None:
        """Note one more failed try; the next at `next_us`."""
        ...

    async def dead(self, delivery_id: str, *, at_us: int, reason: str) -> None:
        """Give it up; it stays visible."""
        ...

    async def revive(self, delivery_id: str, *, next_us: int) -> bool:
        """Let a dead one wait again; False if there is no dead one of that id."""
        ...

    async def records(
        self,
        *,
        incident: int | None = None,
        state: DeliveryState | None = None,
        limit: int = 100,
    ) -> list[DeliveryRecord]:
        """Read deliveries for people, newest first; settled ones are kept for a bounded time."""
        ...

    async def counts(self) -> Mapping[DeliveryState, int]:
        """Count deliveries by what became of them, those still kept."""
        ...

    async def ended(self, *, since_us: int = 0, limit: int = 100) -> list[Ended]:
        """Read incidents that ended at or after `since_us`, newest first."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let go of the file."""
        ...


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What is decided by, as the configuration has it."""

    plan: AlertPlan
    languages: Mapping[str, tuple[str, ...]]
    """Channel -> its own languages, for those that have any."""
    link_valid_s: int


@dataclass(frozen=True, slots=True)
class AlertsView:
    """The alerts as they stand, taken without waiting for anything."""

    at_us: int
    book: Book
    signs: tuple[Sign, ...]
    """How everything stands that is watched; empty before the first look."""
    plan: AlertPlan
    channels: tuple[str, ...]
    """Those that can be used."""
    stored: bool
    """All of it is in the store."""
    deciding: bool
    """This process decides; otherwise another one of the fleet does."""


class LinkState(Enum):
    """What a signed link is worth."""

    GOOD = "good"
    EXPIRED = "expired"
    WRONG = "wrong"


class AlertLinks(Protocol):
    """Checks the links that messages carry."""

    def check(self, uid: str, until: str, signature: str, *, now_us: int) -> LinkState:
        """Say what the parts of a link are worth; each may be anything."""
        ...


class AlertDesk(Protocol):
    """What people see of alerts and do about them; every change is audited."""

    def view(self) -> AlertsView:
        """Show the present."""
        ...

    async def ended(self, *, since_us: int = 0, limit: int = 100) -> list[Ended]:
        """Read incidents that are over, newest first."""
        ...

    async def deliveries(
        self, *, incident: int | None = None, state: DeliveryState | None = None, limit: int = 100
    ) -> list[DeliveryRecord]:
        """Read what was sent, newest first."""
        ...

    async def acknowledge(self, number: int, *, by: Actor, reason: str) -> Incident:
        """Let somebody answer for an open incident; RefusedError if it is not open, or taken."""
        ...

    async def silence(
        self, rule: str, *, system: str | None, until_us: int, by: Actor, reason: str
    ) -> Silence:
        """Tell nothing of a rule (`*`: of any) until then; RefusedError when that cannot be."""
        ...

    async def lift(self, silence_id: int, *, by: Actor, reason: str) -> Silence:
        """End a silence now; RefusedError if there is none of that id."""
        ...

    async def revive(self, delivery_id: str, *, by: Actor, reason: str) -> None:
        """Send a dead message after all; RefusedError if there is none of that id."""
        ...

    async def reload(self, *, by: Actor, reason: str) -> None:
        """Read the alerts file again; PolicyError leaves the old one in force."""
        ...
