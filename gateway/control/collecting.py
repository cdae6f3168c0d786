"""
What of the comparison is kept: a fair sample in bounded memory, and what of it is not stored yet.

Listings are kept with all their differences, so that a decision made later scores the history
again; examples per field, kind and cause for people to look at. When somebody says that differences
were put right, their examples stay for export, bounded in number, and make room for new ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway.control.scoring import covers
from gateway.core.comparison import parsed, place_in_sample
from gateway.core.comparison.differences import MASKED
from gateway.core.rollup import HOUR_US
from gateway.ports.compared import Changes, Example, History, Kept, KeptListing, Tally

if TYPE_CHECKING:
    import random

    from gateway.core.comparison import Difference, Opened, Rules, Signature
    from gateway.link import ShadowDiffered
    from gateway.ports.compared import Fix

KEPT_US: Final = 7 * 24 * HOUR_US
KEPT_LISTINGS: Final = 5_000
KEPT_CLOSED: Final = 2_000
MOST_MEANS: Final = 20


class Collection:
    """A `History` that grows, and its `Changes`."""

    def __init__(self, chance: random.Random, *, fields: int, examples_per_field: int) -> None:
        self._chance = chance
        self._fields = fields
        self._each = examples_per_field
        self.history = History()
        self.changes = Changes()

    def take(self, found: ShadowDiffered, opened: Opened, now_us: int) -> None:
        """Count one pair of opened answers, and keep a random sample of what differs in it."""
        name = "controls" if found.control else "shadows"
        kept = self._kept(name)
        tally = self.tally(name, now_us)
        place = sum(each.opened_differed for each in kept.tallies.values())
        tally.answers += 1
        tally.opened += 1
        tally.opened_matched += opened.matched
        tally.opened_differed += opened.differed
        for listing in opened.differing:
            slot = place_in_sample(place, KEPT_LISTINGS, self._chance.random())
            if slot is not None:
                kept.listings[slot] = KeptListing(now_us, listing.comparison)
                self.changes.listings.add((name, slot))
            place += 1
            if not found.control:
                for difference in listing.comparison.differences:
                    self._example(found, listing.number, difference)
        means = self.history.means
        if (
            opened.means
            and not found.control
            and (opened.means in means or len(means) < MOST_MEANS)
        ):
            means[opened.means] = means.get(opened.means, 0) + 1
        if not found.control:
            self.history.last_us = now_us

    def _kept(self, name: str) -> Kept:
        return self.history.controls if name == "controls" else self.history.shadows

    def tally(self, name: str, now_us: int) -> Tally:
        """Give the counts of this time of "shadows" or "controls"; old ones are forgotten."""
        kept = self._kept(name)
        begun_us = now_us - now_us % HOUR_US
        begun_us = max([begun_us, *(f.at_us for f in self.history.fixes if f.at_us <= now_us)])
        if begun_us not in kept.tallies:
            kept.tallies[begun_us] = Tally()
            for old in [each for each in kept.tallies if each <= now_us - KEPT_US]:
                del kept.tallies[old]
                self.changes.tallies.add((name, old))
            for slot, listing in list(kept.listings.items()):
                if listing.at_us <= now_us - KEPT_US:
                    del kept.listings[slot]
                    self.changes.listings.add((name, slot))
        self.changes.tallies.add((name, begun_us))
        return kept.tallies[begun_us]

    def _example(self, found: ShadowDiffered, number: str | None, difference: Difference) -> None:
        """Keep it with the same chance as every other of its signature."""
        history, name = self.history, _name(difference.signature)
        if name not in history.seen and len(history.seen) >= self._fields:
            return
        before = history.seen.get(name, 0)
        history.seen[name] = before + 1
        place = place_in_sample(before, self._each, self._chance.random())
        if place is None:
            return
        history.examples[name, place] = Example(
            id=history.next_id,
            at_us=found.at_us,
            number=number,
            sync_id=found.sync_id[:64],
            request_id=found.request_id[:64],
            path=found.path[:200],
            difference=difference,
        )
        history.next_id += 1
        self.changes.examples.add((name, place))

    def begin(self, era: str) -> None:
        """Begin anew: another rollout is another question. Rules are decisions and stay."""
        before = self.history
        self.history = History(era=era, rules=before.rules, next_id=before.next_id)
        self.changes = Changes(forget=True, decisions=True)

    def close(self, fix: Fix) -> None:
        """Put right what was found until now at a path, or anywhere."""
        history = self.history
        closing = [
            key
            for key, each in history.examples.items()
            if not each.closed and covers(fix, each.difference.field)
        ]
        for key in closing:
            example = replace(history.examples.pop(key), closed=True)
            history.examples[f"closed {example.id}", 0] = example
            history.seen.pop(key[0], None)
            self.changes.examples |= {key, (f"closed {example.id}", 0)}
        self._forget_closed()
        if fix.path is None:
            history.fixes.clear()  # this one says all that they say
        history.fixes.append(fix)
        self.changes.decisions = True
        if fix.path is None:
            self.history = replace(history, shadows=Kept(), controls=Kept(), means={})
            self.changes.forget = True
            self.changes.examples |= self.history.examples.keys()

    def _forget_closed(self) -> None:
        examples = self.history.examples
        closed = sorted((each.id, key) for key, each in examples.items() if each.closed)
        for _, key in closed[: max(0, len(closed) - KEPT_CLOSED)]:
            del examples[key]
            self.changes.examples.add(key)

    def mask(self, rules: Rules) -> None:
        """Take the values out of what was kept before they were to be masked."""
        history = self.history
        for name in ("shadows", "controls"):
            kept = self._kept(name)
            for slot, (at_us, comparison) in kept.listings.items():
                hidden = tuple(_hidden(each, rules) for each in comparison.differences)
                if hidden != comparison.differences:
                    kept.listings[slot] = KeptListing(
                        at_us, comparison._replace(differences=hidden)
                    )
                    self.changes.listings.add((name, slot))
        for key, example in history.examples.items():
            history.examples[key] = replace(example, difference=_hidden(example.difference, rules))
            self.changes.examples.add(key)

    def handed_over(self) -> tuple[History, Changes]:
        """Give what is new to whoever stores it, with a copy of the history it is of."""
        changes, self.changes = self.changes, Changes()
        history = self.history
        copied = replace(
            history,
            shadows=_copied(history.shadows),
            controls=_copied(history.controls),
            examples=dict(history.examples),
            seen=dict(history.seen),
            means=dict(history.means),
            rules=list(history.rules),
            fixes=list(history.fixes),
        )
        return copied, changes

    def not_stored(self, changes: Changes) -> None:
        """Take back what could not be stored."""
        mine = self.changes
        mine.forget |= changes.forget
        mine.decisions |= changes.decisions
        mine.tallies |= changes.tallies
        mine.listings |= changes.listings
        mine.examples |= changes.examples


def _copied(kept: Kept) -> Kept:
    return Kept(
        {at: replace(tally, lost=dict(tally.lost)) for at, tally in kept.tallies.items()},
        dict(kept.listings),
    )


def _name(signature: Signature) -> str:
    return f"{signature.field}\n{signature.kind.value}\n{signature.cause.value}"


def _hidden(difference: Difference, rules: Rules) -> Difference:
    if not rules.at(parsed(difference.field)).mask:
        return difference
    left, right = (None if side is None else MASKED for side in (difference.left, difference.right))
    return difference._replace(left=left, right=right)
