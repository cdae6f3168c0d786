"""
config/rollout.toml -> a frozen Plan; every mistake at once, with line, key and what was expected.

`shape` says what may stand in the file (and is where its JSON Schema comes from), `lines` knows
where it stands, `reading` puts both together and checks what only the whole file can show.
`comparison` reads config/comparison.toml, the decisions about differences, in the same way, and
`alerts` reads config/alerts.toml, who is told of what.
"""

from gateway.policy.alerts import (
    DEFAULT_ALERTS,
    AlertPolicy,
    NamedChannel,
    alerts_schema,
    load_alerts,
    parse_alerts,
)
from gateway.policy.comparison import (
    DEFAULT_COMPARISON,
    ComparisonPolicy,
    RuleTable,
    comparison_schema,
    load_comparison,
    parse_comparison,
)
from gateway.policy.faults import MAX_POLICY_BYTES, PolicyError, PolicyFault
from gateway.policy.reading import (
    DEFAULT_POLICY,
    load_policy,
    parse_policy,
    policy_schema,
)
from gateway.policy.sources import Source, load_sources

__all__ = [
    "DEFAULT_ALERTS",
    "DEFAULT_COMPARISON",
    "DEFAULT_POLICY",
    "MAX_POLICY_BYTES",
    "AlertPolicy",
    "ComparisonPolicy",
    "NamedChannel",
    "PolicyError",
    "PolicyFault",
    "RuleTable",
    "Source",
    "alerts_schema",
    "comparison_schema",
    "load_alerts",
    "load_comparison",
    "load_policy",
    "load_sources",
    "parse_alerts",
    "parse_comparison",
    "parse_policy",
    "policy_schema",
]
