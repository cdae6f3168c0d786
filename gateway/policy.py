"""config/rollout.toml -> a frozen Plan; every mistake at once, with line, key and what was expected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gateway.core.rollout import Plan

DEFAULT_POLICY: Final = Path("config/rollout.toml")
MAX_POLICY_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """One mistake: where it stands, what was found there and what was expected."""

    line: int
    key: str
    problem: str


class PolicyError(ValueError):
    """The policy cannot be used; `faults` names every mistake. The old one stays in force."""

    def __init__(self, source: str, faults: tuple[PolicyFault, ...]) -> None:
        self.source = source
        self.faults = faults
        lines = [f"{source}:{fault.line}: {fault.key}: {fault.problem}" for fault in faults]
        super().__init__("\n".join(lines))


def load_policy(path: Path) -> Plan:
    """Read and check a policy file. Raises PolicyError."""
    raise NotImplementedError


def parse_policy(text: str, *, source: str = "policy") -> Plan:
    """Read and check a policy. Raises PolicyError with all faults."""
    raise NotImplementedError


def policy_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file."""
    raise NotImplementedError
