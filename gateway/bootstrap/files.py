"""The files an operator edits: policy, comparison, alerts, messages; every fault at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from gateway import policy
from gateway.adapters.messages import load_messages
from gateway.control.comparing import Bounds
from gateway.control.scoring import Scoring
from gateway.errors import Fault, PolicyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.adapters.messages import Templates
    from gateway.core import rollout

T = TypeVar("T")

COMPARISON_FILE: Final = "comparison.toml"
ALERTS_FILE: Final = "alerts.toml"
MESSAGES_FOLDER: Final = "messages"
_OWN: Final = Path(__file__).parents[2] / "config"
_TODO: Final = "Correct the file; a running gateway keeps the policy it has."


def read_policy(path: Path) -> rollout.Plan:
    """Read the policy file; PolicyError with every fault, its line and what was expected."""
    return _checked("Policy", policy.load_policy, path)


def read_sources(path: Path) -> tuple[policy.Source, ...]:
    """Read what the policy asks of a Prometheus; PolicyError as above."""
    return _checked("Policy", policy.load_sources, path)


def read_comparison(policy_path: Path) -> Bounds:
    """Read what people decided about differences; PolicyError with every fault.

    The file stands beside the policy; without one there, ours is taken.
    """
    found = _checked("Comparison", policy.load_comparison, beside(policy_path, COMPARISON_FILE))
    return Bounds(
        rules=found.rules,
        scoring=Scoring(confidence=found.confidence, alpha=found.noise_significance),
        control_rate=found.control_rate,
        differences_per_listing=found.differences_per_listing,
        examples_per_field=found.examples_per_field,
        fields=found.fields,
    )


def read_alerts(policy_path: Path) -> policy.AlertPolicy:
    """Read who is told what, when; PolicyError with every fault. Where: as the comparison."""
    return _checked("Alerts", policy.load_alerts, beside(policy_path, ALERTS_FILE))


def read_messages(policy_path: Path, alerts: policy.AlertPolicy) -> Templates:
    """Read the words for it; MessagesError with every fault. Where: as the comparison."""
    named = [follow_up.message for follow_up in alerts.plan.follow_ups]
    return load_messages(beside(policy_path, MESSAGES_FOLDER), also=named)


def beside(policy_path: Path, name: str) -> Path:
    """Find what stands beside the policy; without it there, ours."""
    there = policy_path.with_name(name)
    return there if there.exists() else _OWN / name


def _checked(subject: str, load: Callable[[Path], T], path: Path) -> T:
    try:
        return load(path)
    except policy.PolicyError as error:
        faults = tuple(
            Fault(f"{error.source}:{fault.line} {fault.key}".rstrip(), fault.problem)
            for fault in error.faults
        )
        raise PolicyError(subject, faults, todo=_TODO) from error
    except OSError as error:
        fault = Fault(str(path), f"cannot be read ({error.strerror})", f"a {subject.lower()} file")
        raise PolicyError(subject, (fault,), todo=_TODO) from error
