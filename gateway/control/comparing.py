"""
Whether old and new agree, how surely, and where not, why.

Every shadow was judged by its digest in the worker that sent it; its counts come with the second's
report. Answers that differ are handed on, more or fewer of them as there is room, and are opened
here, on a thread of its own behind a bounded queue. Where only a share of them was opened, the
matching ones are weighted by the same share: the rate stays unbiased, its sample honest.

Of what differs a fair sample is kept: listings with all their differences, so that a rule made
later scores the history again, and examples per field, kind and cause for people to look at. All of
it is of one rollout and of the last seven days, and is stored beside the state once a second.
"""

from __future__ import annotations

import asyncio
import binascii
import random
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from gateway.control.scoring import score
from gateway.core.analysis import Metric
from gateway.core.comparison import (
    AnswerPair,
    Rules,
    open_answers,
    parsed,
)
from gateway.core.comparison.differences import MASKED
from gateway.core.model import SECOND_US, Variant
from gateway.errors import StoreUnavailableError
from gateway.ports import MeasurementDraft
from gateway.ports.compared import (
    AddedRule,
    Changes,
    ComparisonView,
    Example,
    History,
    Tally,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.core.comparison import Difference, MatchRate, Opened, Rule, Signature
    from gateway.link import ShadowDiffered
    from gateway.ports import Clock
    from gateway.ports.compared import ComparisonStore, DifferenceCount

HOUR_US: Final = 3600 * SECOND_US
KEPT_HOURS: Final = 7 * 24
KEPT_LISTINGS: Final = 5_000
SETTLING_US: Final = 2 * SECOND_US
"""Counts come with the second's report: so long after a start they may be of the time before."""
WAITING: Final = 64
MOST_RULES: Final = 500
_MATCHED: Final = 'syncgate_shadow_listings_total{result="matched"}'
_NOT_HANDED_ON: Final = 'syncgate_shadows_dropped_total{reason="difference_not_opened"}'

_log = structlog.get_logger("comparing")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How things are scored and how much is kept (config/comparison.toml)."""

    rules: Rules
    confidence: float = 0.99
    differences_per_listing: int = 100
    examples_per_field: int = 20
    fields: int = 500


class Comparing:
    """The comparison of one gateway."""

    def __init__(
        self,
        store: ComparisonStore,
        bounds: Bounds,
        *,
        clock: Clock,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._bounds = bounds
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - a fair sample, no secret
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="comparing")
        self._opening: set[asyncio.Task[None]] = set()
        self._saving: asyncio.Task[None] | None = None
        self._history = History()
        self._changes = Changes()
        self._heard = (0.0, 0.0)
        self._settled_us = 0
        self._rules = bounds.rules
        self._scored: tuple[MatchRate, tuple[DifferenceCount, ...]] | None = None
        self.trouble = ""
        self.overrun = 0
        """Answers that differ and found no place in the queue."""

    async def restore(self) -> None:
        """Take up what was kept before a restart; what cannot be read is left alone and said."""
        try:
            loop = asyncio.get_running_loop()
            self._history = await loop.run_in_executor(self._thread, self._store.load)
        except StoreUnavailableError as error:
            self.trouble = error.message
            _log.error("comparisons_not_read", reason=error.message)
        self._follow_rules()

    # --- what comes in ----------------------------------------------------------------------

    def differed(self, found: ShadowDiffered) -> None:
        """Open two answers that differ, unless too many are waiting."""
        if len(self._opening) >= WAITING:
            self.overrun += 1
            self._hour(self._clock.now_us()).answers += 1
            return
        task = asyncio.create_task(self._open(found))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, found: ShadowDiffered) -> None:
        rules, most = self._rules, self._bounds.differences_per_listing
        loop = asyncio.get_running_loop()
        history = self._history
        opened = await loop.run_in_executor(self._thread, _opened, found, rules, most)
        if history is self._history:  # else it was of another rollout
            self._keep(found, opened)

    def _keep(self, found: ShadowDiffered, opened: Opened) -> None:
        history, now_us = self._history, self._clock.now_us()
        hour = self._hour(now_us)
        hour.answers += 1
        hour.opened += 1
        hour.opened_matched += opened.matched
        differed_before = sum(each.opened_differed for each in history.hours.values())
        hour.opened_differed += opened.differed
        for place, listing in enumerate(opened.differing, start=differed_before):
            slot = place
            if place >= KEPT_LISTINGS:
                slot = int(self._chance.random() * (place + 1))
            if slot < KEPT_LISTINGS:
                history.listings[slot] = listing.comparison
                self._changes.listings.add(slot)
            for difference in listing.comparison.differences:
                self._example(found, listing.number, difference)
        if opened.means:
            history.means[opened.means] = history.means.get(opened.means, 0) + 1
        history.last_us = now_us
        self._scored = None

    def _example(self, found: ShadowDiffered, number: str | None, difference: Difference) -> None:
        """Keep it with the same chance as every other of its signature (algorithm R)."""
        history, name = self._history, _name(difference.signature)
        if name not in history.seen and len(history.seen) >= self._bounds.fields:
            return
        seen = history.seen[name] = history.seen.get(name, 0) + 1
        each = self._bounds.examples_per_field
        place = seen - 1 if seen <= each else int(self._chance.random() * seen)
        if place >= each:
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
        self._changes.examples.add((name, place))

    def tick(self, totals: Mapping[str, float], era: str) -> tuple[MeasurementDraft, ...]:
        """Take in the counts, store what is new, and give the figure that gates are judged by."""
        now_us = self._clock.now_us()
        if era != self._history.era:
            self._forget(era)
        matched, answers = totals.get(_MATCHED, 0.0), totals.get(_NOT_HANDED_ON, 0.0)
        more = (max(0, int(matched - self._heard[0])), max(0, int(answers - self._heard[1])))
        self._heard = (matched, answers)
        if any(more) and now_us >= self._settled_us:
            hour = self._hour(now_us)
            hour.matched += more[0]
            hour.answers += more[1]
            self._history.last_us = now_us
            self._scored = None
        self._save()
        rate, _ = self._score()
        if rate.rate is None:
            return ()
        return (
            MeasurementDraft(
                at_us=self._history.last_us,
                metric=Metric.MATCH_RATIO.value,
                value=rate.rate,
                variant=Variant.CANARY,
                sample=rate.compared,
                source="old and new",
            ),
        )

    def _hour(self, now_us: int) -> Tally:
        hour = now_us // HOUR_US
        history = self._history
        if hour not in history.hours:
            history.hours[hour] = Tally()
            for old in [each for each in history.hours if each <= hour - KEPT_HOURS]:
                del history.hours[old]
                self._changes.hours.add(old)
        self._changes.hours.add(hour)
        return history.hours[hour]

    def _forget(self, era: str) -> None:
        """Begin anew: another rollout is another question. Rules are decisions and stay."""
        rules = self._history.rules
        next_id = self._history.next_id
        self._history = History(era=era, rules=rules, next_id=next_id)
        self._changes = Changes(forget=True, rules=True)
        self._settled_us = self._clock.now_us() + SETTLING_US
        self._scored = None

    # --- what people see and decide -----------------------------------------------------------

    def view(self) -> ComparisonView:
        """Show how far the two agree."""
        rate, differences = self._score()
        hours = self._history.hours.values()
        confidence = self._bounds.confidence
        return ComparisonView(
            matched=rate.matched,
            compared=rate.compared,
            rate=rate.rate,
            lower_bound=rate.lower_bound(confidence),
            confidence=confidence,
            sentence=rate.sentence(confidence),
            answers_differed=sum(hour.answers for hour in hours),
            answers_opened=sum(hour.opened for hour in hours),
            last_us=self._history.last_us or None,
            means=dict(self._history.means),
            differences=differences,
            rules=tuple(self._history.rules),
            standing_rules=self._bounds.rules.rules,
            trouble=self.trouble,
        )

    def examples(self, *, before: int | None, limit: int) -> tuple[list[Example], int | None]:
        """Give kept differences, newest first, and where the next page begins."""
        ordered = sorted(self._history.examples.values(), key=lambda each: -each.id)
        found = [each for each in ordered if before is None or each.id < before]
        page = found[:limit]
        return page, page[-1].id if len(found) > limit else None

    def add_rule(self, rule: Rule, *, by: str) -> None:
        """Put a decision in force, for what comes and for what is kept."""
        self._history.rules.append(AddedRule(rule, by, self._clock.now_us()))
        self._follow_rules()
        self._changes.rules = True
        if rule.mask:
            self._mask()
        self._save()

    @property
    def full(self) -> bool:
        """Whether no more rules are taken."""
        return len(self._history.rules) >= MOST_RULES

    def _follow_rules(self) -> None:
        added = [each.rule for each in self._history.rules]
        standing = self._bounds.rules
        self._rules = Rules((*standing.rules, *added), forgiven=standing.forgiven)
        self._scored = None

    def _mask(self) -> None:
        """Take the values out of what was kept before they were to be masked."""
        history = self._history
        for slot, comparison in history.listings.items():
            hidden = tuple(map(self._hidden, comparison.differences))
            if hidden != comparison.differences:
                history.listings[slot] = comparison._replace(differences=hidden)
                self._changes.listings.add(slot)
        for key, example in history.examples.items():
            history.examples[key] = replace(example, difference=self._hidden(example.difference))
            self._changes.examples.add(key)

    def _hidden(self, difference: Difference) -> Difference:
        if not self._rules.at(parsed(difference.field)).mask:
            return difference
        sides = (None if side is None else MASKED for side in (difference.left, difference.right))
        left, right = sides
        return difference._replace(left=left, right=right)

    def _score(self) -> tuple[MatchRate, tuple[DifferenceCount, ...]]:
        if self._scored is None:
            self._scored = score(self._history, self._rules)
        return self._scored

    # --- storing -----------------------------------------------------------------------------

    def _save(self) -> None:
        """Store what is new, behind everybody's back; what could not be is tried again."""
        if not self._changes.any or (self._saving and not self._saving.done()):
            return
        changes, self._changes = self._changes, Changes()
        snapshot = _frozen(self._history)
        self._saving = asyncio.create_task(self._store_now(snapshot, changes))

    async def _store_now(self, history: History, changes: Changes) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._store.save, history, changes)
        except StoreUnavailableError as error:
            if not self.trouble:
                _log.error("comparisons_not_stored", reason=error.message)
            self.trouble = error.message
            _join(self._changes, changes)
        else:
            self.trouble = ""

    async def close(self) -> None:
        """Store the rest and let go."""
        for task in tuple(self._opening):
            task.cancel()
        if self._saving is not None:
            await asyncio.wait({self._saving})
        self._save()
        if self._saving is not None:
            await asyncio.wait({self._saving})
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown(wait=False)


def _opened(found: ShadowDiffered, rules: Rules, most: int) -> Opened:
    """Open on the thread; a fault of ours is a difference that cannot be read, never more."""
    bodies: tuple[bytes, bytes] | None = None
    if found.bodies is not None:
        try:
            bodies = (b64decode(found.bodies[0]), b64decode(found.bodies[1]))
        except binascii.Error:
            bodies = None
    pair = AnswerPair(found.statuses, found.records, bodies)
    try:
        return open_answers(pair, rules, most=most)
    except Exception:  # noqa: BLE001 - no comparison may hurt whoever waits for nothing of it
        _log.exception("comparison_failed", sync_id=found.sync_id)
        return open_answers(AnswerPair(found.statuses, found.records, None), Rules(), most=most)


def _frozen(history: History) -> History:
    """Copy what the thread will read while the loop goes on writing."""
    return replace(
        history,
        hours={hour: replace(tally) for hour, tally in history.hours.items()},
        listings=dict(history.listings),
        examples=dict(history.examples),
        seen=dict(history.seen),
        means=dict(history.means),
        rules=list(history.rules),
    )


def _join(changes: Changes, more: Changes) -> None:
    changes.forget |= more.forget
    changes.rules |= more.rules
    changes.hours |= more.hours
    changes.listings |= more.listings
    changes.examples |= more.examples


def _name(signature: Signature) -> str:
    return f"{signature.field}\n{signature.kind.value}\n{signature.cause.value}"
