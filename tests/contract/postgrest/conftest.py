"""What the tests of PostgREST share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    """One client: making one for each case would cost more than the cases."""
    with httpx2.Client() as client:
        yield client
