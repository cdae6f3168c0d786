"""
Where the gateway is, and one call to it.

The address and the token are looked for in this order: the command line, the environment, `.env`,
and `.devstack/env` in this folder or one above it, so that a stack that is up is simply found. Only
the standard library is used, because the command must start at once; a proxy from the environment
is ignored.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_URL: Final = "http://127.0.0.1:8090"
TIMEOUT_S: Final = 10.0
_LARGEST_ANSWER: Final = 32 * 1024 * 1024
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to call and with what; `source` says where that was found."""

    url: str
    token: str | None
    source: str


class BadTargetError(Exception):
    """The address found is none."""


class UnreachableError(Exception):
    """Nobody answered, or not as a gateway does."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway said."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        """Done as asked."""
        return 200 <= self.status < 300  # noqa: PLR2004 - 2xx


def find_target(
    url: str | None, token: str | None, *, environment: Mapping[str, str], folder: Path
) -> Target:
    """Look where the gateway is."""
    places = places_of(environment, folder)
    source = "--url"
    if url is None:
        url, source = DEFAULT_URL, "default"
        for place, pairs in places:
            if address := _address(pairs):
                url, source = address, place
                break
    if token is None:
        token = next(
            (pairs["GATEWAY_TOKEN"] for _, pairs in places if pairs.get("GATEWAY_TOKEN")), None
        )
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadTargetError(f"{url!r} ({source}) is not of the form http://host:port")
    return Target(url.rstrip("/"), token, source)


def places_of(environment: Mapping[str, str], folder: Path) -> list[tuple[str, Mapping[str, str]]]:
    """List where settings may stand, the most particular first."""
    places: list[tuple[str, Mapping[str, str]]] = [
        ("environment", environment),
        (".env", read_pairs(folder / ".env")),
    ]
    for parent in (folder, *folder.parents):
        found = parent / ".devstack" / "env"
        if found.is_file():
            alerts = found.with_name("alerts.env")
            places += [(str(each), read_pairs(each)) for each in (found, alerts)]
            break
    return places


def look_up(name: str) -> str | None:
    """Find one setting in the environment, `.env` or `.devstack/env`."""
    return next((pairs[name] for _, pairs in places_of(*here()) if pairs.get(name)), None)


def _address(pairs: Mapping[str, str]) -> str | None:
    if address := pairs.get("GATEWAY_ADMIN_URL"):
        return address
    if port := pairs.get("GATEWAY_ADMIN_PORT"):
        host = pairs.get("GATEWAY_ADMIN_HOST") or "127.0.0.1"
        host = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - the opposite of binding
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return None


def read_pairs(path: Path) -> dict[str, str]:
    """Read KEY=VALUE lines; what is not one is passed over, a missing file is empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs: dict[str, str] = {}
    for line in lines:
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        if separator and not name.startswith("#"):
            pairs[name.strip()] = value.strip().strip("\"'")
    return pairs


class Gateway:
    """The admin port of one gateway."""

    def __init__(self, target: Target, *, timeout_s: float = TIMEOUT_S) -> None:
        self.target = target
        self._timeout_s = timeout_s

    def get(self, path: str) -> Answer:
        """Read something."""
        return self._call("GET", path, None)

    def page(self, path: str) -> Answer:
        """Read something that is text, such as a page; a refusal is as of any other call."""
        status, raw = self._exchange("GET", path, None, accept="text/html, text/css;q=0.9")
        if status >= 400:  # noqa: PLR2004 - a refusal is JSON
            return _parsed(status, raw)
        return Answer(status, raw.decode("utf-8", "replace"))

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Ask for a change."""
        return self._call("POST", path, json.dumps(body).encode())

    def delete(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Ask for something to end."""
        return self._call("DELETE", path, json.dumps(body).encode())

    def _call(self, method: str, path: str, body: bytes | None) -> Answer:
        return _parsed(*self._exchange(method, path, body, accept="application/json"))

    def _exchange(
        self, method: str, path: str, body: bytes | None, *, accept: str
    ) -> tuple[int, bytes]:
        parts = urlsplit(self.target.url)
        assert parts.hostname
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.hostname, parts.port, timeout=self._timeout_s)
        headers = {"User-Agent": "syncgate", "Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.target.token:
            headers["Authorization"] = f"Bearer {self.target.token}"
        try:
            connection.request(method, parts.path + path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read(_LARGEST_ANSWER)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise UnreachableError(_cause(error)) from error
        finally:
            connection.close()


def _parsed(status: int, raw: bytes) -> Answer:
    try:
        return Answer(status, _harmless(json.loads(raw)) if raw else None)
    except ValueError:
        raise UnreachableError(f"it answered {status} without JSON") from None


def _harmless(value: Any) -> Any:
    """Take out control characters: nothing that was sent to us may steer the terminal."""
    if isinstance(value, str):
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_harmless(item) for item in value]
    if isinstance(value, dict):
        return {_harmless(name): _harmless(item) for name, item in value.items()}
    return value


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def here() -> tuple[dict[str, str], Path]:
    """Give the environment and folder of this process."""
    return dict(os.environ), Path.cwd()
