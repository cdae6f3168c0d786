"""The fleet as people see it from one replica: who is there, how late, how loaded, who decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.model import SECOND_US
from gateway.ports import FleetView, ReplicaView

if TYPE_CHECKING:
    from gateway.control.fleet.fleet import Fleet
    from gateway.control.fleet.members import Member
    from gateway.core import rollout
    from gateway.ports import WorkerView


def view(fleet: Fleet, state: rollout.State, workers: tuple[WorkerView, ...]) -> FleetView:
    """Show every replica, this one included, by name."""
    own_rate = fleet.outbox.requests_per_s()
    bodies = [member.body for member in fleet.members if member.reports and member.body]
    total = own_rate + sum(body.requests_per_s for body in bodies)
    if len(bodies) < len(fleet.members):
        total = 0.0  # a share of what is not known is not known
    newest = max([state.version, *(body.routing_version for body in bodies)])
    others = [_other(fleet, member, newest, total) for member in fleet.members]
    own = _own(fleet, state, workers, newest, total)
    return FleetView(
        replicas=tuple(sorted((own, *others), key=lambda one: one.name)),
        store=fleet.place,
        connected=fleet.connected,
        trouble=fleet.trouble or fleet.holding,
    )


def in_force(workers: tuple[WorkerView, ...], published: int) -> int:
    """Give the oldest version that any worker of ours still routes by."""
    ready = [worker.routing_version for worker in workers if worker.ready]
    return min(ready, default=published)


def _own(
    fleet: Fleet, state: rollout.State, workers: tuple[WorkerView, ...], newest: int, total: float
) -> ReplicaView:
    version = in_force(workers, state.version)
    rate = fleet.outbox.requests_per_s()
    note = fleet.holding
    if fleet.members.namesake:
        note = "another process calls itself by the same name"
    return ReplicaView(
        name=fleet.identity.name,
        here=True,
        decides=fleet.lease.held,
        state="holding" if fleet.holding else "reporting",
        software=fleet.identity.software,
        routing_version=version,
        behind=max(0, newest - version),
        weight_percent=state.write_bp / 100,
        requests_per_s=rate,
        traffic_share=rate / total if total > 0 else None,
        age_s=0.0,
        workers=sum(worker.ready for worker in workers),
        note=note,
    )


def _other(fleet: Fleet, member: Member, newest: int, total: float) -> ReplicaView:
    body = member.body
    standing = "reporting"
    if member.silent:
        standing = "silent"
    elif not member.reports:
        standing = "holding"
    rate = body.requests_per_s if body else 0.0
    version = body.routing_version if body else 0
    return ReplicaView(
        name=member.name,
        here=False,
        decides=member.reports and body is not None and body.decides,
        state=standing,
        software=body.software if body else "",
        routing_version=version,
        behind=max(0, newest - version),
        weight_percent=body.weight_bp / 100 if body else 0.0,
        requests_per_s=rate,
        traffic_share=rate / total if total > 0 else None,
        age_s=max(0, fleet.clock.now_us() - member.heard_us) / SECOND_US,
        workers=body.workers if body else 0,
        note=member.trouble or (body.holding if body else ""),
    )
