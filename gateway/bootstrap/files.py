"""The files an operator edits: policy and comparison rules, with every fault at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway import policy
from gateway.control.comparing import Bounds
from gateway.control.scoring import Scoring
from gateway.errors import Fault, PolicyError

if TYPE_CHECKING:
    from gateway.core import rollout

COMPARISON_FILE: Final = "comparison.toml"
"""Stands beside the policy."""
_OWN_COMPARISON: Final = Path(__file__).parents[2] / "config" / COMPARISON_FILE
_TODO: Final = "Correct the file; a running gateway keeps the policy it has."


def read_policy(path: Path) -> rollout.Plan:
    """Read the policy file; PolicyError with every fault, its line and what was expected."""
    try:
        return policy.load_policy(path)
    except policy.PolicyError as error:
        faults = tuple(
            Fault(f"{error.source}:{fault.line} {fault.key}".rstrip(), fault.problem)
            for fault in error.faults
        )
        raise PolicyError("Policy", faults, todo=_TODO) from error
    except OSError as error:
        fault = Fault(str(path), f"cannot be read ({error.strerror})", "a policy file")
        raise PolicyError("Policy", (fault,), todo=_TODO) from error


def read_comparison(policy_path: Path) -> Bounds:
    """Read what people decided about differences; PolicyError with every fault.

    The file stands beside the policy; without one there, ours is taken.
    """
    beside = policy_path.with_name(COMPARISON_FILE)
    path = beside if beside.exists() else _OWN_COMPARISON
    try:
        found = policy.load_comparison(path)
    except policy.PolicyError as error:
        faults = tuple(
            Fault(f"{error.source}:{fault.line} {fault.key}".rstrip(), fault.problem)
            for fault in error.faults
        )
        raise PolicyError("Comparison", faults, todo=_TODO) from error
    except OSError as error:
        fault = Fault(str(path), f"cannot be read ({error.strerror})", "a comparison file")
        raise PolicyError("Comparison", (fault,), todo=_TODO) from error
    return Bounds(
        rules=found.rules,
        scoring=Scoring(confidence=found.confidence, alpha=found.noise_significance),
        control_rate=found.control_rate,
        differences_per_listing=found.differences_per_listing,
        examples_per_field=found.examples_per_field,
        fields=found.fields,
    )
