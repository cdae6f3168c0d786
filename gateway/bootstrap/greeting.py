"""The ready block: what an operator needs to see the moment the gateway serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.control.listener import url_of
from gateway.core import rollout

if TYPE_CHECKING:
    from gateway.bootstrap.composition import Gateway


def ready_block(gateway: Gateway) -> str:
    """Say where it listens, where the rollout stands and what is missing."""
    view = gateway.controller.view()
    state, plan = view.state, view.plan
    phase = "not started" if state.phase is None else plan.phases[state.phase].title
    route = rollout.route(state, plan)
    mirror = (
        f"{route.mirror_rate:.0%} to {route.mirror_to}" + (" as dry runs" * route.mirror_dry)
        if route.mirror_to and route.mirror_rate > 0
        else "nothing"
    )
    writes, reads = state.write_bp / 100, state.read_bp / 100
    weight = f"{writes:g} %" if writes == reads else f"writes {writes:g} %, reads {reads:g} %"
    settings = gateway.settings
    scheme = "https" if settings.tls_certificate else "http"
    lines = [
        "syncgate is ready",
        f"  data     {url_of(gateway.data, scheme=scheme)}",
        f"  admin    {url_of(gateway.admin)}",
        f"  old      {settings.old_url}",
        f"  new      {settings.new_url}",
        f"  phase    {phase} ({state.status.value})",
        f"  weight   {weight} to new",
        f"  mirrors  {mirror}",
        f"  policy   {plan.name} ({settings.policy_path})",
        f"  store    {settings.state_dir.resolve()}",
        f"  workers  {len(view.workers)}",
        f"  alerts   {', '.join(gateway.alerts.channels.ready) or 'none'}",
    ]
    if unset := gateway.alerts.channels.unset:
        names = ", ".join(unset)
        lines.append(f"  note     alerts by {names} go nowhere: `syncgate doctor` says what to set")
    fleet = gateway.beginning.fleet
    if fleet is not None:
        lines.append(f"  fleet    replica {fleet.identity.name} at {fleet.place}")
        if fleet.trouble:
            lines.append(f"  note     started from its own copy of the state: {fleet.trouble}")
    if not settings.admin_tokens:
        lines.append("  note     no GATEWAY_ADMIN_TOKENS: the admin port answers reads only")
    return "\n".join(lines)
