"""Commands on the database itself; they go there directly, without the gateway."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gateway.cli import database
from gateway.cli.consent import confirm

if TYPE_CHECKING:
    from gateway.cli.session import Session


@dataclass(frozen=True, slots=True)
class Migration:
    """What was asked for."""

    database_url: str | None
    target: str | None
    rollback_to: str | None
    dry_run: bool
    yes: bool


def migrate(session: Session, wish: Migration) -> None:
    """Apply (or undo) migrations."""
    from listings.errors import ListingsError  # noqa: PLC0415 - psycopg loads slowly
    from listings.maintenance.migrate import migrate as run  # noqa: PLC0415 - as above

    database_url = database.address(session, wish.database_url)
    if wish.rollback_to is not None and not wish.dry_run and not wish.yes:
        confirm(session, session.say("order_migrate_back", name=wish.rollback_to))
    try:
        report = run(
            database_url,
            target=wish.target,
            rollback_to=wish.rollback_to,
            dry_run=wish.dry_run,
            report=session.note,
        )
    except ListingsError as error:
        database.fail(session, error)
    if session.as_json:
        session.show_json(asdict(report))
        return
    say = session.say
    if report.rolled_back or wish.rollback_to is not None:
        names = ", ".join(report.rolled_back) or say("none")
        key = "migrate_would_back" if report.dry_run else "migrated_back"
        session.out.print(say(key, names=names), markup=False)
    elif report.dry_run:
        names = ", ".join(report.applied) or say("none")
        session.out.print(say("migrate_would", names=names), markup=False)
    else:
        counts = {"applied": len(report.applied), "already": len(report.already)}
        session.out.print(say("migrated", **counts), markup=False)
