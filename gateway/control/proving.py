"""
Proof first: writes are mirrored only to a system that has shown that its dry runs store nothing.

An answer that says "dry run" proves nothing (PostgREST ignores a request for a rollback by default,
and commits), so the system is asked to dry-run a random row in a workspace of its own and to read
back what is left of it. The proof holds for the process that gave it: when its health probe fails,
or names another instance, it is forgotten and asked for again. Until there is one, the routing that
workers get mirrors nothing, and everything that speaks of mirroring says why. A shadow that comes
back without confirming that it was a dry run ends it at once, in the worker that sees it.

The control, old repeated against itself, writes to old as a dry run and wants the same proof of
old. Without it nothing is repeated; mirroring to new goes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from gateway.control.counting import Totals
from gateway.control.gauges import mirror_traffic
from gateway.core.model import Variant
from gateway.errors import UnreachableError
from gateway.ports import MirrorView

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.control.write_backs import WriteBackRecord
    from gateway.core import rollout
    from gateway.ports import Clock, Probe, ProbeResult

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
_SLACK_S: Final = 0.001

_log = structlog.get_logger("proving")


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of one system's dry runs; `proven` None: nobody knows yet."""

    proven: bool | None = None
    means: str | None = None
    detail: str = "it was not asked yet"
    at_us: int | None = None


class Proving:
    """Keeps the proof of each system, asks for it when it is needed, and lets pass what is safe."""

    def __init__(
        self,
        probe: Probe,
        clock: Clock,
        *,
        changed: Callable[[str, str], Awaitable[None]] | None = None,
        control_rate: float = 0.0,
        pauses_s: tuple[float, float] = (FIRST_PAUSE_S, LONGEST_PAUSE_S),
        write_backs: WriteBackRecord | None = None,
    ) -> None:
        self.write_backs = write_backs
        self._probe = probe
        self._clock = clock
        self.changed = changed
        """Told with the kind of event and one sentence whenever the answer changed."""
        self._first_pause_s, self._longest_pause_s = pauses_s
        self._proofs: dict[Variant, Proof] = {}
        self._instances: dict[Variant, str] = {}
        self._epochs: dict[Variant, int] = {}
        self._control_rate = control_rate
        self._route: rollout.Route | None = None
        self._wanted: tuple[Variant, ...] = ()
        self._pauses: dict[Variant, float] = {}
        self._not_before: dict[Variant, float] = {}
        self._distrusted: set[Variant] = set()
        self._unconfirmed = [0, 0]
        self._totals = Totals()
        self._due = asyncio.Event()

    def permitted(self, route: rollout.Route) -> tuple[rollout.Route, float]:
        """Give the route as it may be published, and the share of shadows that may be repeated.

        Without a proof there is no mirror, or nothing is repeated.
        """
        self._route = route
        if self.write_backs is not None:
            self.write_backs.follow(on=route.write_back)
        target = self._needed(route)
        self._wanted = () if target is None else (target, *self._repeated(route))
        if any(not self._proof(each).proven for each in self._wanted):
            self._due.set()
        if target is None or self._proof(target).proven:
            return route, self.control_rate(route)
        return replace(route, mirror_rate=0.0), 0.0

    def control_rate(self, route: rollout.Route) -> float:
        """Give the share of shadows to repeat against the system that answered; 0 unproven."""
        proven = all(self._proof(each).proven for each in self._repeated(route))
        mirrored = self._needed(route) is not None and self.why_not(route) is None
        return self._control_rate if mirrored and proven else 0.0

    def why_no_control(self, route: rollout.Route) -> str | None:
        """Say why nothing is repeated although it should be; None: nothing is missing."""
        if self.why_not(route) is not None:
            return None  # without a mirror there is nothing to repeat
        doubted = (each for each in self._repeated(route) if not self._proof(each).proven)
        return next(map(self._doubt, doubted), None)

    @property
    def doubt(self) -> str:
        """Say what is missing of all that must be proven for the route in force; empty: nothing."""
        route = self._route
        if route is None:
            return ""
        return self.why_not(route) or self.why_no_control(route) or ""

    def _repeated(self, route: rollout.Route) -> tuple[Variant, ...]:
        """Name the system that is asked twice: the one that serves what is mirrored as dry runs."""
        target = self._needed(route)
        if target is None or self._control_rate <= 0:
            return ()
        return tuple(each for each in Variant if each is not target)

    def why_not(self, route: rollout.Route) -> str | None:
        """Say why writes are not mirrored although the phase wants it; None: nothing is missing."""
        target = self._needed(route)
        if target is None:
            return None
        return None if self._proof(target).proven else self._doubt(target)

    def _doubt(self, variant: Variant) -> str:
        proof = self._proof(variant)
        how = "has not proven" if proof.proven is None else "cannot prove"
        return f"{variant.value} {how} that its dry runs store nothing: {proof.detail}"

    def view(self, route: rollout.Route) -> MirrorView:
        """Show what is mirrored, and by which means it stores nothing."""
        why_not = self.why_not(route)
        target = self._needed(route)
        proof = self._proof(target) if target is not None else Proof()
        return MirrorView(
            wanted_rate=route.mirror_rate if route.mirror_to else 0.0,
            on=route.mirror_to is not None and route.mirror_rate > 0 and why_not is None,
            why_not=why_not,
            proven=proof.proven,
            means=proof.means,
            detail=proof.detail if target is not None else "",
            proven_at_us=proof.at_us if proof.proven else None,
            control_rate=self.control_rate(route),
            why_no_control=self.why_no_control(route),
            traffic=mirror_traffic(self._totals.mirror),
            write_back=None
            if self.write_backs is None
            else self.write_backs.view(self._totals.write_backs, on=route.write_back),
        )

    def probed(self, result: ProbeResult) -> bool:
        """Take in a health probe; True when it cost the system its proof."""
        variant = result.variant
        known = self._instances.get(variant)
        if result.healthy:
            self._instances[variant] = result.instance
            if known is None or known == result.instance:
                if variant in self._wanted and self._proof(variant).proven is None:
                    self._due.set()
                return False
            why = "it was restarted since its last proof"
        else:
            why = f"its health probe failed since its last proof ({result.reason})"
        return self.forget(variant, why)

    def forget(self, variant: Variant, why: str) -> bool:
        """Believe the system no longer; True when it had been believed."""
        self._distrusted.discard(variant)
        self._epochs[variant] = self._epochs.get(variant, 0) + 1
        believed = bool(self._proof(variant).proven)
        self._proofs[variant] = Proof(detail=why)
        self._not_before.pop(variant, None)
        self._due.set()
        return believed

    def counted(self, totals: Totals) -> bool:
        """Take in the workers' counts; True when a shadow did not confirm that it was a dry run.

        Then no proof is believed any more before the system was restarted.
        """
        self._totals = totals
        before, mirror = self._unconfirmed, totals.mirror
        self._unconfirmed = [mirror.shadows.unconfirmed, mirror.controls.unconfirmed]
        found = [
            self._unbelievable(*counts, self._wanted[place : place + 1])
            for place, counts in enumerate(zip(before, self._unconfirmed, strict=True))
        ]
        return any(found)

    def _unbelievable(self, before: int, now: int, believed: tuple[Variant, ...]) -> bool:
        if now <= before or not believed or believed[0] in self._distrusted:
            return False
        (variant,) = believed
        self._epochs[variant] = self._epochs.get(variant, 0) + 1
        self._distrusted.add(variant)
        self._proofs[variant] = Proof(
            proven=False, detail="it answered a shadow without confirming that it was a dry run"
        )
        return True

    async def run(self) -> None:
        """Ask whenever a proof is needed and there is none; ask again after growing pauses."""
        while True:
            await self._due.wait()
            self._due.clear()
            for target in self._wanted:
                if not (self._proof(target).proven or target in self._distrusted):
                    await self._ask_and_tell(target)

    async def _ask_and_tell(self, target: Variant) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before.get(target, 0.0):
            return  # the one before failed a moment ago; we are called again when it is time
        before = self._proof(target)
        proof = await self._ask(target)
        if proof is None:
            self._due.set()
            return
        self._proofs[target] = proof
        if proof.proven:
            self._pauses.pop(target, None)
        else:
            pause_s = self._pauses.get(target, self._first_pause_s)
            self._not_before[target] = loop.time() + pause_s
            loop.call_later(pause_s + _SLACK_S, self._due.set)
            self._pauses[target] = min(self._longest_pause_s, 2 * pause_s)
        if (proof.proven, proof.detail) != (before.proven, before.detail) or proof.proven:
            await self._say(target, proof)

    async def _ask(self, target: Variant) -> Proof | None:
        """Ask once; None if the system was replaced while it answered."""
        epoch = self._epochs.get(target, 0)
        try:
            proven, means, detail = await self._probe.prove_dry_run(target)
            proof = Proof(proven, means, detail, self._clock.now_us())
        except UnreachableError as error:
            proof = Proof(proven=None, detail=error.message, at_us=self._clock.now_us())
        return proof if self._epochs.get(target, 0) == epoch else None

    async def _say(self, target: Variant, proof: Proof) -> None:
        _log.info("dry_run_proof", system=target.value, proven=proof.proven, detail=proof.detail)
        if self.changed is None:
            return
        mirrored = self._wanted[:1] == (target,)
        kind = "mirror" if mirrored else "control"
        what = "writes are{} mirrored" if mirrored else "what is noise is{} learnt from it"
        who = target.value.capitalize()
        if proof.proven:
            text = f"{who} proved that its dry runs store nothing ({proof.means}): "
            await self.changed(f"{kind}.proven", f"{text}{what.format('')}.")
            return
        text = f"{who} did not prove that its dry runs store nothing ({proof.detail}): "
        await self.changed(f"{kind}.unproven", f"{text}{what.format(' not')}.")

    def _proof(self, variant: Variant) -> Proof:
        return self._proofs.get(variant, Proof())

    @staticmethod
    def _needed(route: rollout.Route) -> Variant | None:
        """Name the system that must prove itself for this route."""
        if route.mirror_to is None or route.mirror_rate <= 0 or not route.mirror_dry:
            return None
        return Variant(route.mirror_to)
