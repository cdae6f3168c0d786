"""What became of one kind of shadow, counted while it happens."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from gateway.link import ShadowCounts


@dataclass(slots=True)
class Tally:
    """The counts of `link.ShadowCounts` while they grow."""

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
    unanswered: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def counts(self) -> ShadowCounts:
        """Give them as they are now."""
        return ShadowCounts(**asdict(self))

    def time(self, listings: int, old_us: int, shadow_us: int) -> None:
        """Add one sync that both have done."""
        self.timed += 1
        self.timed_listings += listings
        self.timed_old_us += old_us
        self.timed_shadow_us += shadow_us

    def miss(self, reason: str, listings: int) -> None:
        """Count one that gave nothing to compare."""
        self.failed += 1
        self.listings_lost += listings
        self.unanswered[reason] = self.unanswered.get(reason, 0) + 1

    def drop(self, reason: str, listings: int = 0) -> None:
        """Count one that was not sent, or into which nobody will look."""
        self.listings_lost += listings
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
