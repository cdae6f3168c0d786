"""
The JSON Schemas of config/schema.

`python -m gateway.policy` prints that of a rollout policy, `python -m gateway.policy comparison`
that of the decisions about differences.
"""

import json
import sys

from gateway.policy import comparison_schema, policy_schema

schema = comparison_schema() if sys.argv[1:] == ["comparison"] else policy_schema()
sys.stdout.write(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
