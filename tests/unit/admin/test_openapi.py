"""The contract document is valid, and says of the calls what the calls do."""

from __future__ import annotations

from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.admin import openapi
from gateway.admin.endpoints import ENDPOINTS, PREFIX

DOCUMENT = openapi.document("1.2.3")


def test_the_document_is_valid_openapi_3_1():
    """Tools can read it."""
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []
    assert DOCUMENT["info"]["version"] == "1.2.3"


def test_every_endpoint_is_in_it_and_nothing_else():
    """The table is the only source, but for the two answers that are not JSON."""
    described = {
        (method.upper(), path)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
        if path.startswith(PREFIX)
    }
    plain = {
        ("GET", f"{PREFIX}/events"): "text/event-stream",
        ("GET", f"{PREFIX}/comparisons/differences.csv"): "text/csv",
    }
    assert described == {(row.method, PREFIX + row.path) for row in ENDPOINTS} | plain.keys()
    for (_, path), kind in plain.items():
        assert list(DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]) == [kind]


def test_every_change_asks_for_a_reason_except_reports_and_measurements():
    """A change without a reason cannot be sent by following the document."""
    for row in ENDPOINTS:
        if row.method != "POST" or row.path in {"/measurements", "/user-reports"}:
            continue
        body = DOCUMENT["paths"][PREFIX + row.path]["post"]["requestBody"]
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        schema = DOCUMENT["components"]["schemas"][name]
        assert "reason" in schema["required"], row.path
        assert schema["additionalProperties"] is False, row.path


def test_a_weight_has_its_bounds_and_step():
    """The generated bounds are those of the check."""
    percent = DOCUMENT["components"]["schemas"]["WeightChange"]["properties"]["percent"]
    assert (percent["minimum"], percent["maximum"], percent["multipleOf"]) == (0, 100, 0.01)
