"""The services keep to their own OpenAPI document, whatever is generated from it."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from listings.api import create_app
from listings.model import FIELD_BY_NAME
from listings.settings import ServiceSettings
from listings.source.mapping import Column, ColumnMapping
from tests.support.memory_store import MemoryStore
from tests.support.scale import scale
from tests.support.service import TextFeed

MAPPING = ColumnMapping(key=("番号",), columns={FIELD_BY_NAME["price_yen"]: Column("価格")})
FEED = TextFeed("番号,価格\nA,1万円\n", MAPPING)
schema = schemathesis.openapi.from_asgi(
    "/openapi.json",
    create_app(MemoryStore(), FEED, ServiceSettings(_env_file=None)),
)


@schema.parametrize()
@settings(
    max_examples=scale(full=300, quick=15),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_documented(case: schemathesis.Case) -> None:
    """Status, content type and shape of each answer are in the document, and none is a 5xx."""
    case.call_and_validate(
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ]
    )
