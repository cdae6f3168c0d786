"""
The JSON Schemas of config/schema.

`python -m gateway.policy` prints that of a rollout policy, `python -m gateway.policy comparison`
that of the decisions about differences, `python -m gateway.policy alerts` that of alerts.
"""

import json
import sys

from gateway.policy import alerts_schema, comparison_schema, policy_schema

made = {"comparison": comparison_schema, "alerts": alerts_schema}.get(
    (sys.argv[1:] or ["rollout"])[0], policy_schema
)
sys.stdout.write(json.dumps(made(), indent=2, ensure_ascii=False) + "\n")
