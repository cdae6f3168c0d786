"""
What the generator of calls gets wrong, put right (Schemathesis loads it by SCHEMATHESIS_HOOKS).

To break a body that may have one of several shapes it breaks one of them; what comes out may by
chance be of another shape, and valid: a share's metric replaced by that of an amount, say. It then
complains that the call was accepted. Such a body is measured against the contract by another
validator, and left out when it fits.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from jsonschema import Draft202012Validator
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Whether the call is what it claims to be."""
    del context
    broken = {
        location
        for location, component in (case.meta.components if case.meta else {}).items()
        if component.mode is GenerationMode.NEGATIVE
    }
    if broken != {ParameterLocation.BODY} or not isinstance(case.body, dict):
        return True
    return not _contract(case.operation).is_valid(case.body)


def _contract(operation: Any) -> Draft202012Validator:
    document = operation.schema.raw_schema
    asked = document["paths"][operation.path][operation.method]["requestBody"]
    body = asked["content"]["application/json"]["schema"]
    return Draft202012Validator({**body, "components": document["components"]})
