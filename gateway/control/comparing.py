"""
Whether old and new agree, how surely, and where not, why.

Every shadow was judged by its digest in the worker that sent it; its counts come with the second's
report. Answers that differ are handed on, more or fewer of them as there is room, and are opened
here, on a thread of its own behind a bounded queue. Where only a share of them was opened, the
matching ones are weighted by the same share: the rate stays unbiased, its sample honest. Controls,
old repeated against itself, go the same way and are counted apart.

A fair sample of it is kept (`collecting`), of one rollout and of the last seven days, and is stored
beside the state once a second.
"""

from __future__ import annotations

import asyncio
import binascii
import random
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from gateway.control.collecting import Collection
from gateway.control.counting import since
from gateway.control.scoring import Scorer, Scoring
from gateway.core.analysis import Metric
from gateway.core.comparison import AnswerPair, Rules, open_answers
from gateway.core.model import SECOND_US, Variant
from gateway.errors import StoreUnavailableError
from gateway.link import NOT_OPENED, NOTHING_TO_COMPARE_WITH, MirrorCounts
from gateway.ports import MeasurementDraft
from gateway.ports.compared import AddedRule, ComparisonView, Fix

if TYPE_CHECKING:
    from gateway.control.counting import Totals
    from gateway.core.comparison import Opened, Rule
    from gateway.link import ShadowCounts, ShadowDiffered
    from gateway.ports import Clock
    from gateway.ports.compared import Changes, ComparisonStore, Example, History, Score

SETTLING_US: Final = 2 * SECOND_US
"""Counts come with the second's report: so long after a start they may be of the time before."""
WAITING: Final = 64
MOST_RULES: Final = 500
MOST_FIXES: Final = 200
_SOURCE: Final = "old and new"
_NOT_DUE: Final = frozenset({NOT_OPENED, NOTHING_TO_COMPARE_WITH})
"""Drops that took nothing from the comparison: it was answered, or old had failed."""

_log = structlog.get_logger("comparing")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How things are scored and how much is kept (config/comparison.toml)."""

    rules: Rules
    scoring: Scoring = field(default_factory=Scoring)
    control_rate: float = 0.0
    """The share (0..1) of shadows that are repeated against old itself."""
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
        self._collected = Collection(
            chance or random.Random(),  # noqa: S311 - a fair sample, no secret
            fields=bounds.fields,
            examples_per_field=bounds.examples_per_field,
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="comparing")
        self._opening: set[asyncio.Task[None]] = set()
        self._saving: asyncio.Task[None] | None = None
        self._heard = MirrorCounts()
        self._settled_us = 0
        self._rules = bounds.rules
        self._scorer = Scorer(bounds.scoring)
        self._scored: Score | None = None
        self.trouble = ""

    @property
    def source(self) -> str:
        """Who its figures are said by."""
        return _SOURCE

    @property
    def _history(self) -> History:
        return self._collected.history

    async def restore(self) -> None:
        """Take up what was kept before a restart; what cannot be read is left alone and said."""
        try:
            loop = asyncio.get_running_loop()
            self._collected.history = await loop.run_in_executor(self._thread, self._store.load)
        except StoreUnavailableError as error:
            self.trouble = error.message
            _log.error("comparisons_not_read", reason=error.message)
        self._follow_rules()

    # --- what comes in ----------------------------------------------------------------------

    def differed(self, found: ShadowDiffered) -> bool:
        """Open two answers that differ; False if too many are waiting, then they only count."""
        if len(self._opening) >= WAITING:
            self._collected.tally(_kind(found), self._clock.now_us()).answers += 1
            return False
        task = asyncio.create_task(self._open(found))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return True

    async def _open(self, found: ShadowDiffered) -> None:
        rules, most = self._rules, self._bounds.differences_per_listing
        loop = asyncio.get_running_loop()
        history = self._history
        opened = await loop.run_in_executor(self._thread, _opened, found, rules, most)
        if history is self._history:  # else it was of another rollout
            self._collected.take(found, opened, self._clock.now_us())
            self._scored = None

    def tick(self, totals: Totals, era: str) -> tuple[MeasurementDraft, ...]:
        """Take in the counts, store what is new, and give the figures that gates are judged by."""
        now_us = self._clock.now_us()
        if era != self._history.era:
            self._collected.begin(era)
            self._begin_to_count(now_us)
        more = since(self._heard, totals.mirror)
        self._heard = totals.mirror
        if now_us >= self._settled_us:
            self._count("shadows", more.shadows, now_us)
            self._count("controls", more.controls, now_us)
            self._time(more.shadows, now_us)
        self._save()
        return self._figures()

    def _begin_to_count(self, now_us: int) -> None:
        self._settled_us = now_us + SETTLING_US
        self._scored = None

    def _time(self, more: ShadowCounts, now_us: int) -> None:
        if not more.timed:
            return
        tally = self._collected.tally("shadows", now_us)
        tally.timed += more.timed
        tally.timed_listings += more.timed_listings
        tally.old_s += more.timed_old_us / SECOND_US
        tally.new_s += more.timed_shadow_us / SECOND_US
        self._scored = None

    def _count(self, name: str, more: ShadowCounts, now_us: int) -> None:
        lost = dict(more.unanswered)
        lost |= {reason: n for reason, n in more.dropped.items() if reason not in _NOT_DUE}
        answered = more.matched + more.differed
        not_opened = more.dropped.get(NOT_OPENED, 0)
        if not (answered or lost or not_opened or more.listings_matched):
            return
        tally = self._collected.tally(name, now_us)
        tally.matched += more.listings_matched
        tally.answers += not_opened
        tally.compared += answered
        tally.listings_compared += more.listings_matched + more.listings_differed
        tally.listings_lost += more.listings_lost
        for reason, count in lost.items():
            tally.lost[reason] = tally.lost.get(reason, 0) + count
        if name == "shadows" and (answered or more.listings_matched):
            self._history.last_us = now_us
        self._scored = None

    def _figures(self) -> tuple[MeasurementDraft, ...]:
        found, at_us = self._score(), self._history.last_us or self._clock.now_us()
        judged, coverage = found.judged, found.coverage
        figures = []
        if judged.compared:
            share = judged.certain / judged.compared
            figures.append((Metric.MATCH_RATIO, share, judged.compared, at_us))
        if coverage.ratio is not None:
            now_us = self._clock.now_us()
            figures.append((Metric.COMPARED_RATIO, coverage.ratio, coverage.due, now_us))
        if found.pace.ratio is not None:
            figures.append((Metric.SYNC_TIME_TO_OLD, found.pace.ratio, found.pace.syncs, at_us))
        return tuple(
            MeasurementDraft(
                at_us=taken_us, metric=metric.value, value=value, variant=Variant.CANARY,
                sample=sample, source=_SOURCE,
            )
            for metric, value, sample, taken_us in figures
        )  # fmt: skip

    # --- what people see and decide -----------------------------------------------------------

    def view(self) -> ComparisonView:
        """Show how far the two agree."""
        history, tallies = self._history, self._history.shadows.tallies.values()
        return ComparisonView(
            score=self._score(),
            confidence=self._bounds.scoring.confidence,
            answers_differed=sum(each.answers for each in tallies),
            answers_opened=sum(each.opened for each in tallies),
            last_us=history.last_us or None,
            means=dict(history.means),
            rules=tuple(history.rules),
            standing_rules=self._bounds.rules.rules,
            fixes=tuple(history.fixes),
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
        self._collected.changes.decisions = True
        if rule.mask:
            self._collected.mask(self._rules)
        self._save()

    def put_right(self, path: str | None, *, by: str, reason: str) -> None:
        """Begin a new count of what differs at a path, or (None) of everything."""
        now_us = self._clock.now_us()
        if path is None:
            self._begin_to_count(now_us)
        else:
            now_us += SETTLING_US
        self._collected.close(Fix(path, reason, by, now_us))
        self._scored = None
        self._save()

    @property
    def full(self) -> bool:
        """Whether no more rules are taken."""
        return len(self._history.rules) >= MOST_RULES

    @property
    def full_of_fixes(self) -> bool:
        """Whether no more fixes are taken before everything is counted anew."""
        return len(self._history.fixes) >= MOST_FIXES

    def _follow_rules(self) -> None:
        added = [each.rule for each in self._history.rules]
        standing = self._bounds.rules
        self._rules = Rules((*standing.rules, *added), forgiven=standing.forgiven)
        self._scored = None

    def _score(self) -> Score:
        if self._scored is None:
            self._scored = self._scorer.score(self._history, self._rules)
        return self._scored

    # --- storing -----------------------------------------------------------------------------

    def _save(self) -> None:
        """Store what is new, behind everybody's back; what could not be is tried again."""
        if not self._collected.changes.any or (self._saving and not self._saving.done()):
            return
        self._saving = asyncio.create_task(self._store_now(*self._collected.handed_over()))

    async def _store_now(self, history: History, changes: Changes) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._store.save, history, changes)
        except StoreUnavailableError as error:
            if not self.trouble:
                _log.error("comparisons_not_stored", reason=error.message)
            self.trouble = error.message
            self._collected.not_stored(changes)
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


def _kind(found: ShadowDiffered) -> str:
    return "controls" if found.control else "shadows"
