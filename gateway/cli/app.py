"""
The `syncgate` command: what it can do, and what each command takes.

Only declarations stand here; what a command needs is imported when it runs, so that `--help` and a
single call to the gateway do not pay for the machinery of all others.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations at run time
from typing import Annotated, Any

import typer

from gateway.cli import alert_commands, data_commands, report_commands
from gateway.cli.options import (  # noqa: TC001 - typer reads the annotations at run time
    DryRun,
    Json,
    Lang,
    Reason,
    Token,
    Url,
    Yes,
)
from gateway.cli.session import Session

app = typer.Typer(
    name="syncgate",
    help="Move live traffic from an old service to a new one, watch it, and take it back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def everywhere(
    *,
    url: Annotated[
        str | None, typer.Option("--url", help="Admin address, http://host:port.")
    ] = None,
    token: Annotated[str | None, typer.Option("--token", help="Bearer token.")] = None,
    lang: Annotated[str | None, typer.Option("--lang", help="ja or en.")] = None,
) -> None:
    """Move live traffic from an old service to a new one, watch it, and take it back."""
    Session.preset = {"url": url, "token": token, "lang": lang}


@app.command()
def serve() -> None:
    """Run the gateway (settings from the environment or .env)."""
    from gateway.cli.serve import serve as run  # noqa: PLC0415 - see the module's docstring

    run()


@app.command()
def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay and show it live.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between looks.")] = 1.0,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Show what is happening, why, and the one command to run."""
    from gateway.cli import looks  # noqa: PLC0415 - see the module's docstring

    session = Session(url, token, lang, as_json)
    if watch:
        looks.watch(session, interval_s=interval)
    else:
        looks.status(session)


def _give(session: Session, key: str, path: str, **more: Any) -> None:
    from gateway.cli import orders  # noqa: PLC0415 - see the module's docstring

    consent = orders.Consent(more.pop("reason"), more.pop("yes"), more.pop("dry_run"))
    body = more.pop("body", {})
    values = more.pop("values", {})
    order = orders.Order(path, session.say(key, **values), body, **more)
    orders.give(session, order, consent)


@app.command()
def start(
    *,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Enter the first phase."""
    session = Session(url, token, lang, as_json)
    path = "/api/v1/rollout/start"
    _give(session, "order_start", path, forward=True, reason=reason, yes=yes, dry_run=dry_run)


@app.command()
def promote(
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Although gates do not pass (admin scope).")
    ] = False,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Go on to the next phase; refused while a gate does not pass."""
    session = Session(url, token, lang, as_json)
    following = session.get("/api/v1/rollout")["next_phase"] or "-"
    _give(
        session,
        "order_promote_force" if force else "order_promote",
        "/api/v1/rollout/promote",
        values={"phase": following},
        body={"force": True} if force else {},
        forward=True,
        dangerous=force,
        reason=reason,
        yes=yes,
        dry_run=dry_run,
    )


@app.command()
def pause(
    *,
    reason: Reason = None,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
    yes: Yes = False,
) -> None:
    """Keep the weight and stop the phase's clock; the guard stays on."""
    session = Session(url, token, lang, as_json)
    path = "/api/v1/rollout/pause"
    _give(session, "order_pause", path, reason=reason, yes=yes, dry_run=dry_run)


@app.command()
def resume(
    *,
    reason: Reason = None,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
    yes: Yes = False,
) -> None:
    """Go on after a pause, or leave a rollback (at weight 0)."""
    session = Session(url, token, lang, as_json)
    path = "/api/v1/rollout/resume"
    _give(session, "order_resume", path, reason=reason, yes=yes, dry_run=dry_run)


@app.command(context_settings={"ignore_unknown_options": True})
def weight(
    percent: Annotated[str, typer.Argument(help="0 to 100 in steps of 0.01.")],
    *,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Send this share of traffic to the new system."""
    from gateway.cli import orders  # noqa: PLC0415 - see the module's docstring

    session = Session(url, token, lang, as_json)
    wanted = orders.parse_percent(session, percent)
    now = session.get("/api/v1/rollout")["weight_percent"]
    _give(
        session,
        "order_weight",
        "/api/v1/rollout/weight",
        values={"percent": f"{wanted:g}", "now": f"{now:g}"},
        body={"percent": wanted},
        forward=wanted > now,
        reason=reason,
        yes=yes,
        dry_run=dry_run,
    )


@app.command()
def rollback(
    *,
    reason: Reason = None,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
    yes: Yes = False,
) -> None:
    """Take all traffic back to the old system, now."""
    session = Session(url, token, lang, as_json)
    path = "/api/v1/rollout/rollback"
    _give(session, "order_rollback", path, reason=reason, yes=yes, dry_run=dry_run)


@app.command()
def stop(
    *,
    reason: Reason = None,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
    yes: Yes = False,
) -> None:
    """Emergency stop: the new system gets nothing until `release`."""
    session = Session(url, token, lang, as_json)
    path = "/api/v1/rollout/emergency-stop"
    _give(session, "order_stop", path, reason=reason, yes=yes, dry_run=dry_run)


@app.command()
def release(
    *,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Leave the emergency stop, at weight 0."""
    session = Session(url, token, lang, as_json)
    path = "/api/v1/rollout/release"
    _give(session, "order_release", path, forward=True, reason=reason, yes=yes, dry_run=dry_run)


@app.command()
def hold(
    decision: Annotated[int, typer.Argument(min=1, help="Number of the decision, see status.")],
    *,
    reason: Reason = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Answer a decision: nothing moves at its deadline."""
    session = Session(url, token, lang, as_json)
    path = f"/api/v1/decisions/{decision}/hold"
    values = {"id": decision}
    _give(session, "order_hold", path, values=values, reason=reason, yes=yes, dry_run=dry_run)


@app.command()
def audit(
    *,
    verify: Annotated[bool, typer.Option("--verify", help="Walk the hash chain.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")] = 20,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Show who changed what, when and why; --verify checks that nothing was altered."""
    from gateway.cli import looks  # noqa: PLC0415 - see the module's docstring

    session = Session(url, token, lang, as_json)
    if verify:
        looks.verify_audit(session)
    else:
        looks.audit(session, limit=limit)


@app.command()
def compare(
    *,
    accept: Annotated[
        str | None, typer.Option("--accept", metavar="PATH", help="Accept differences there.")
    ] = None,
    how: Annotated[str, typer.Option(help="With --accept: ignore, unordered or mask.")] = "ignore",
    tolerance: Annotated[
        float | None, typer.Option(min=0, help="With --accept: numbers may differ by so much.")
    ] = None,
    fixed: Annotated[
        str | None, typer.Option("--fixed", metavar="PATH", help="Put right: count anew; ** all.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write all kept differences: .csv or .json.")
    ] = None,
    reason: Reason = None,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Show whether old and new agree, how surely, and where not, why."""
    from gateway.cli import compare as comparing  # noqa: PLC0415 - see the module's docstring

    session = Session(url, token, lang, as_json)
    if how not in {"ignore", "unordered", "mask"}:
        raise typer.BadParameter("ignore, unordered or mask", param_hint="--how")
    if accept is not None:
        comparing.accept(session, comparing.Acceptance(accept, how, tolerance, reason))
    elif fixed is not None:
        comparing.put_right(session, fixed, reason)
    elif export is not None:
        comparing.export(session, export)
    else:
        comparing.show(session)


@app.command()
def simulate(
    scenario: Annotated[
        str | None, typer.Argument(help="Name of a scenario, or a file; none: list them.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All scenarios that ship.")] = False,
    policy: Annotated[Path | None, typer.Option(help="Another policy file.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another draw of the same world.")] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Take stored decisions again under --policy.")
    ] = False,
    url: Url = None,
    token: Token = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Run the real rules on a fake clock: weeks in seconds."""
    from gateway.cli import simulate as simulation  # noqa: PLC0415 - see the module's docstring

    wish = simulation.Wish(scenario, every, policy, seed, replay)
    simulation.run(Session(url, token, lang, as_json), wish)


@app.command()
def migrate(
    *,
    database_url: Annotated[
        str | None, typer.Option("--database-url", help="Default: DATABASE_URL.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Last migration to apply.")] = None,
    rollback_to: Annotated[
        str | None, typer.Option(help="Undo all after this one (0000: everything).")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Bring the database's tables up to date (tests the connection first)."""
    from gateway.cli import data  # noqa: PLC0415 - see the module's docstring

    session = Session(lang=lang, as_json=as_json)
    wish = data.Migration(database_url, target, rollback_to, dry_run=dry_run, yes=yes)
    data.migrate(session, wish)


@app.command()
def verify(
    *,
    database_url: Annotated[
        str | None, typer.Option("--database-url", help="Default: DATABASE_URL.")
    ] = None,
    workspace: Annotated[str, typer.Option(help="Whose listings.")] = "default",
    mapping: Annotated[
        Path | None, typer.Option(help="A source.toml: compare with its feed, too.")
    ] = None,
    feed: Annotated[
        Path | None, typer.Option(help="A CSV file in place of the one in --mapping.")
    ] = None,
    lang: Lang = None,
    as_json: Json = False,
) -> None:
    """Check the data: duplicates, losses, differences; against the journal or a feed."""
    from gateway.cli import verify as checking  # noqa: PLC0415 - see the module's docstring

    checking.run(
        Session(lang=lang, as_json=as_json), checking.Wish(database_url, workspace, mapping, feed)
    )


@app.command()
def doctor(
    *, url: Url = None, token: Token = None, lang: Lang = None, as_json: Json = False,
    yes: Yes = False, dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Check settings, files, ports, services; send a test message through each alert channel."""
    from gateway.cli import doctor as checks  # noqa: PLC0415 - see the module's docstring

    checks.run(Session(url, token, lang, as_json), yes=yes, dry_run=dry_run)


alert_commands.register(app)
data_commands.register(app)
report_commands.register(app)
