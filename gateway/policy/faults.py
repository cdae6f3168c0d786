"""A configuration file's mistakes: every fault with its line and what was expected there."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.policy.lines import line_of

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.policy.lines import Path as KeyPath

MAX_POLICY_BYTES: Final = 256 * 1024
_TOML_LINE: Final = re.compile(r"\(at line (\d+)")
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """One mistake: where it stands and what was expected there."""

    line: int
    key: str
    problem: str


class PolicyError(ValueError):
    """The policy cannot be used; `faults` names every mistake. The old one stays in force."""

    def __init__(self, source: str, faults: tuple[PolicyFault, ...]) -> None:
        self.source = source
        self.faults = faults
        super().__init__("\n".join(f"{source}:{f.line}: {f.key}: {f.problem}" for f in faults))


def text_of(path: Path) -> str:
    """Read a file of bounded size. Raises PolicyError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        problem = f"cannot be read ({error.strerror}): expected a policy file here"
        raise PolicyError(str(path), (PolicyFault(0, "file", problem),)) from error
    if len(raw) > MAX_POLICY_BYTES:
        raise _too_large(str(path))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        fault = PolicyFault(line, "file", "expected UTF-8 text")
        raise PolicyError(str(path), (fault,)) from error


def tables_of(text: str, source: str) -> dict[str, Any]:
    """Parse TOML of bounded size. Raises PolicyError."""
    if len(text) > MAX_POLICY_BYTES:
        raise _too_large(source)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = _TOML_LINE.search(str(error))
        fault = PolicyFault(int(found[1]) if found else 0, "file", f"expected TOML: {error}")
        raise PolicyError(source, (fault,)) from error


def located(
    faults: list[tuple[KeyPath, str]], lines: dict[KeyPath, int]
) -> tuple[PolicyFault, ...]:
    """Give each fault its line, and sort them as they stand in the file."""
    found = {
        PolicyFault(line_of(path, lines), _dotted(path) or "file", problem)
        for path, problem in faults
    }
    return tuple(sorted(found, key=lambda fault: (fault.line, fault.key, fault.problem)))


def expected(error: Any) -> str:
    """Say in plain words what should have stood there, of one of pydantic's errors."""
    kind, context = error["type"], error.get("ctx", {})
    found = repr(error["input"])[:60]
    if kind == "missing":
        return "missing; this key is required"
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "enum":
        return f"expected {context['expected']}, found {found}"
    if kind in _BOUNDS:
        key, word = _BOUNDS[kind]
        return f"expected {word} {context[key]}, found {found}"
    message = str(error["msg"])
    return f"{message[0].lower()}{message[1:]}, found {found}"


def _too_large(source: str) -> PolicyError:
    problem = f"expected at most {MAX_POLICY_BYTES // 1024} KiB"
    return PolicyError(source, (PolicyFault(0, "file", problem),))


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text
