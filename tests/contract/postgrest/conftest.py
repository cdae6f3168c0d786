"""What the tests of PostgREST share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    """One client: making one for each case would cost more than the cases.

    It keeps no connection: the real server ends some after its answer, without saying so.
    """
    with httpx2.Client(limits=httpx2.Limits(max_keepalive_connections=0)) as client:
        yield client
