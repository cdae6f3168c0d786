"""`python -m gateway.policy` prints the JSON Schema of a policy file (config/schema)."""

import json
import sys

from gateway.policy import policy_schema

sys.stdout.write(json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n")
