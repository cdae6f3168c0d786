"""Proof first: what is mirrored before, with and without the proof, and after a restart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.control.counting import Totals
from gateway.control.proving import Proving
from gateway.core import rollout
from gateway.core.model import Variant
from gateway.errors import UnreachableError
from gateway.link import MirrorCounts, ShadowCounts
from gateway.ports import ProbeResult
from tests.support.plans import quick_plan

if TYPE_CHECKING:
    from gateway.core.rollout import Route

NEW = Variant.CANARY
PLAN = quick_plan()
IDLE = rollout.route(rollout.begin(PLAN).state, PLAN)
MIRRORING = replace(IDLE, mirror_to="new", mirror_rate=1.0, mirror_dry=True)


class Clock:
    """Stands still."""

    def now_us(self) -> int:
        """Zero."""
        return 0

    wall_us = now_us


class Asked:
    """Answers proofs as told, and counts them."""

    def __init__(self) -> None:
        self.answer: tuple[bool, str | None, str] | None = (True, "raise", "nothing left")
        self.times = 0
        self.old_answer: tuple[bool, str | None, str] = (True, "transaction", "nothing left")
        self.old_times = 0

    async def prove_dry_run(self, variant: Variant) -> tuple[bool, str | None, str]:
        """Answer as told; None: nobody there."""
        if variant is not NEW:
            self.old_times += 1
            return self.old_answer
        self.times += 1
        if self.answer is None:
            raise UnreachableError("nobody accepts connections")
        return self.answer

    health = metrics = stop_sync = None


class Scene:
    """A `Proving` whose loop runs."""

    def __init__(self, control_rate: float = 0.0) -> None:
        self.probe = Asked()
        self.told: list[str] = []
        self.proving = Proving(
            self.probe,  # type: ignore[arg-type]  # only the proof is asked for
            Clock(),
            changed=self.tell,
            control_rate=control_rate,
            pauses_s=(0.001, 0.01),
        )

    async def tell(self, kind: str, text: str) -> None:
        """Remember it."""
        self.told.append(f"{kind}: {text}")

    def rate(self, route: Route = MIRRORING) -> float:
        """What is published."""
        return self.proving.permitted(route)[0].mirror_rate

    def health(self, *, healthy: bool = True, instance: str = "one") -> bool:
        """One health probe."""
        reason = "" if healthy else "refused"
        return self.proving.probed(ProbeResult(NEW, 0, healthy, 1, reason, instance))

    async def until_rate(self, rate: float) -> None:
        """Wait for it."""
        async with asyncio.timeout(5):
            while self.rate() != rate:
                await asyncio.sleep(0.001)


@pytest.fixture
async def scene() -> Scene:
    """A scene, and its loop for as long as the test runs."""
    made = Scene()
    made.loop = asyncio.create_task(made.proving.run())  # type: ignore[attr-defined]  # keeps it alive
    return made


async def test_nothing_is_mirrored_before_the_proof(scene: Scene) -> None:
    """The first routing mirrors nothing and says why; the proof lets it pass, once."""
    assert scene.rate(IDLE) == 0.0
    assert scene.probe.times == 0
    assert scene.rate() == 0.0
    assert "has not proven" in (scene.proving.why_not(MIRRORING) or "")
    await scene.until_rate(1.0)
    assert scene.proving.why_not(MIRRORING) is None
    assert scene.probe.times == 1
    assert scene.told == [
        "mirror.proven: New proved that its dry runs store nothing (raise): writes are mirrored."
    ]
    assert scene.proving.view(MIRRORING).means == "raise"


async def test_a_disproof_keeps_it_off_and_is_asked_again(scene: Scene) -> None:
    """Told once with what was found, however often it is asked; a later proof ends it."""
    scene.probe.answer = (False, "rollback", "a dry run stored 1 rows")
    scene.rate()
    while scene.probe.times < 4:
        await asyncio.sleep(0.001)
    assert scene.rate() == 0.0
    assert "stored 1 rows" in (scene.proving.why_not(MIRRORING) or "")
    assert len(scene.told) == 1
    scene.probe.answer = None
    while len(scene.told) < 2:
        await asyncio.sleep(0.001)
    assert "nobody accepts connections" in scene.told[-1]
    scene.probe.answer = (True, "raise", "")
    await scene.until_rate(1.0)


@pytest.mark.parametrize("restart", ["another instance", "a failed probe"])
async def test_a_restart_costs_the_proof(scene: Scene, restart: str) -> None:
    """What was proven of one process says nothing about the next."""
    scene.health()
    scene.rate()
    await scene.until_rate(1.0)
    assert not scene.health()
    if restart == "another instance":
        assert scene.health(instance="two")
    else:
        assert scene.health(healthy=False)
    assert scene.rate() == 0.0
    await scene.until_rate(1.0)
    assert scene.probe.times == 2


async def test_a_system_replaced_while_it_proves_must_prove_again(scene: Scene) -> None:
    """An answer that was under way over a restart is of nobody."""
    answered, go = asyncio.Event(), asyncio.Event()
    plain = scene.probe.prove_dry_run

    async def slow(variant: Variant) -> tuple[bool, str | None, str]:
        answered.set()
        await go.wait()
        return await plain(variant)

    scene.probe.prove_dry_run = slow  # type: ignore[method-assign]
    scene.health()
    scene.rate()
    await answered.wait()
    scene.health(instance="two")
    go.set()
    await scene.until_rate(1.0)
    assert scene.probe.times == 2


async def test_an_unconfirmed_shadow_outweighs_every_proof(scene: Scene) -> None:
    """Until new is restarted: what it says of itself is not believed any more."""
    scene.health()
    scene.rate()
    await scene.until_rate(1.0)
    totals = Totals(mirror=MirrorCounts(ShadowCounts(unconfirmed=1)))
    assert scene.proving.counted(totals)
    assert not scene.proving.counted(totals)
    for _ in range(20):
        assert scene.rate() == 0.0
        await asyncio.sleep(0.001)
    assert "without confirming" in (scene.proving.why_not(MIRRORING) or "")
    scene.health(instance="two")
    await scene.until_rate(1.0)


@pytest.fixture
async def repeating() -> Scene:
    """A scene that wants a tenth of the shadows repeated against old."""
    made = Scene(control_rate=0.1)
    made.loop = asyncio.create_task(made.proving.run())  # type: ignore[attr-defined]  # keeps it alive
    return made


async def until_told(scene: Scene, messages: int) -> None:
    """Wait until so many messages were told."""
    async with asyncio.timeout(5):
        while len(scene.told) < messages:
            await asyncio.sleep(0.001)


async def test_nothing_is_repeated_before_old_proved_itself_too(repeating: Scene) -> None:
    """Mirroring does not wait for it; what is missing is said; the proof lets it pass."""
    scene = repeating
    scene.probe.old_answer = (False, "transaction", "a dry run stored 1 rows")
    assert scene.proving.permitted(MIRRORING)[1] == 0.0
    await until_told(scene, 2)
    route, share = scene.proving.permitted(MIRRORING)
    assert (route.mirror_rate, share) == (1.0, 0.0)
    view = scene.proving.view(MIRRORING)
    assert view.on
    assert view.control_rate == 0.0
    assert "old cannot prove" in (view.why_no_control or "")
    assert scene.proving.doubt == view.why_no_control
    scene.probe.old_answer = (True, "transaction", "nothing left")
    await until_told(scene, 3)
    assert scene.proving.permitted(MIRRORING)[1] == 0.1
    assert scene.proving.view(MIRRORING).why_no_control is None
    assert [message.partition(":")[0] for message in scene.told] == [
        "mirror.proven", "control.unproven", "control.proven",
    ]  # fmt: skip
    assert scene.proving.permitted(IDLE) == (IDLE, 0.0)


async def test_an_unconfirmed_control_ends_the_repeating_alone(repeating: Scene) -> None:
    """Old's word is believed no more; what new proved still holds."""
    scene = repeating
    scene.rate()
    await until_told(scene, 2)
    assert scene.proving.permitted(MIRRORING)[1] == 0.1
    mirror = MirrorCounts(controls=ShadowCounts(unconfirmed=1))
    assert scene.proving.counted(Totals(mirror=mirror))
    route, share = scene.proving.permitted(MIRRORING)
    assert (route.mirror_rate, share) == (1.0, 0.0)
    assert "without confirming" in scene.proving.doubt
    asked = scene.probe.old_times
    for _ in range(10):
        scene.rate()
        await asyncio.sleep(0.001)
    assert scene.probe.old_times == asked


async def test_real_writes_back_to_old_need_no_proof(scene: Scene) -> None:
    """Reverse mirroring is meant to store."""
    assert scene.rate(replace(MIRRORING, mirror_to="old", mirror_dry=False)) == 1.0
    assert scene.probe.times == 0
