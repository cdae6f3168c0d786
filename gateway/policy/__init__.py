"""
config/rollout.toml -> a frozen Plan; every mistake at once, with line, key and what was expected.

`shape` says what may stand in the file (and is where its JSON Schema comes from), `lines` knows
where it stands, `reading` puts both together and checks what only the whole file can show.
"""

from gateway.policy.reading import (
    DEFAULT_POLICY,
    MAX_POLICY_BYTES,
    PolicyError,
    PolicyFault,
    load_policy,
    parse_policy,
    policy_schema,
)

__all__ = [
    "DEFAULT_POLICY",
    "MAX_POLICY_BYTES",
    "PolicyError",
    "PolicyFault",
    "load_policy",
    "parse_policy",
    "policy_schema",
]
