"""
Proof first: writes are mirrored only to a system that has shown that its dry runs store nothing.

An answer that says "dry run" proves nothing (PostgREST ignores a request for a rollback by default,
and commits), so the system is asked to dry-run a random row in a workspace of its own and to read
back what is left of it. The proof holds for the process that gave it: when its health probe fails,
or names another instance, it is forgotten and asked for again. Until there is one, the routing that
workers get mirrors nothing, and everything that speaks of mirroring says why. A shadow that comes
back without confirming that it was a dry run ends it at once, in the worker that sees it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import structlog

from gateway.core.model import Variant
from gateway.errors import UnreachableError
from gateway.ports import MirrorView

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.core import rollout
    from gateway.ports import Clock, Probe, ProbeResult

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
_UNCONFIRMED: Final = "syncgate_shadows_unconfirmed_total"

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
        pauses_s: tuple[float, float] = (FIRST_PAUSE_S, LONGEST_PAUSE_S),
    ) -> None:
        self._probe = probe
        self._clock = clock
        self.changed = changed
        """Told with the kind of event and one sentence whenever the answer changed."""
        self._first_pause_s, self._longest_pause_s = pauses_s
        self._proofs: dict[Variant, Proof] = {}
        self._instances: dict[Variant, str] = {}
        self._epochs: dict[Variant, int] = {}
        self._wanted: Variant | None = None
        self._distrusted: set[Variant] = set()
        self._unconfirmed = 0.0
        self._due = asyncio.Event()

    def permitted(self, route: rollout.Route) -> rollout.Route:
        """Give the route as it may be published: without a mirror while there is no proof."""
        target = self._needed(route)
        self._wanted = target
        if target is None or self._proof(target).proven:
            return route
        self._due.set()
        return replace(route, mirror_rate=0.0)

    def why_not(self, route: rollout.Route) -> str | None:
        """Say why writes are not mirrored although the phase wants it; None: nothing is missing."""
        target = self._needed(route)
        if target is None:
            return None
        proof = self._proof(target)
        if proof.proven:
            return None
        if proof.proven is None:
            return f"{target.value} has not proven that its dry runs store nothing: {proof.detail}"
        return f"{target.value} cannot prove that its dry runs store nothing: {proof.detail}"

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
        )

    def probed(self, result: ProbeResult) -> bool:
        """Take in a health probe; True when it cost the system its proof."""
        variant = result.variant
        known = self._instances.get(variant)
        if result.healthy:
            self._instances[variant] = result.instance
            if known is None or known == result.instance:
                if variant is self._wanted and self._proof(variant).proven is None:
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
        self._due.set()
        return believed

    def counted(self, totals: Mapping[str, float]) -> bool:
        """Take in the workers' counts; True when a shadow did not confirm that it was a dry run.

        Then no proof is believed any more before the system was restarted.
        """
        unconfirmed = totals.get(_UNCONFIRMED, 0.0)
        fresh, self._unconfirmed = unconfirmed > self._unconfirmed, unconfirmed
        target = self._wanted
        if not fresh or target is None or target in self._distrusted:
            return False
        self._epochs[target] = self._epochs.get(target, 0) + 1
        self._distrusted.add(target)
        self._proofs[target] = Proof(
            proven=False, detail="it answered a shadow without confirming that it was a dry run"
        )
        return True

    async def run(self) -> None:
        """Ask whenever a proof is needed and there is none; ask again after growing pauses."""
        loop = asyncio.get_running_loop()
        pause_s = self._first_pause_s
        while True:
            await self._due.wait()
            self._due.clear()
            target = self._wanted
            if target is None or self._proof(target).proven or target in self._distrusted:
                continue
            before = self._proof(target)
            proof = await self._ask(target)
            if proof is None:
                self._due.set()
                continue
            self._proofs[target] = proof
            if proof.proven:
                pause_s = self._first_pause_s
            else:
                loop.call_later(pause_s, self._due.set)
                pause_s = min(self._longest_pause_s, 2 * pause_s)
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
        if proof.proven:
            text = (
                f"{target.value.capitalize()} proved that its dry runs store nothing "
                f"({proof.means}): writes are mirrored."
            )
            await self.changed("mirror.proven", text)
            return
        why = f"{target.value.capitalize()} did not prove that its dry runs store nothing"
        text = f"{why} ({proof.detail}): writes are not mirrored."
        await self.changed("mirror.unproven", text)

    def _proof(self, variant: Variant) -> Proof:
        return self._proofs.get(variant, Proof())

    @staticmethod
    def _needed(route: rollout.Route) -> Variant | None:
        """Name the system that must prove itself for this route."""
        if route.mirror_to is None or route.mirror_rate <= 0 or not route.mirror_dry:
            return None
        return Variant(route.mirror_to)
