"""The header names of the sync contract: services write them, the gateway reads them."""

from __future__ import annotations

from typing import Final

# On a sync request.
SYNC_DRY_RUN: Final = (
    "Sync-Dry-Run"  # "true" asks for a dry run; "applied" or "planned" confirms it
)
SYNC_SHADOW_OF: Final = "Sync-Shadow-Of"  # the sync whose before images a dry run starts from
SYNC_SHADOW_DIGEST: Final = "Sync-Shadow-Digest"  # what that sync answered as its Sync-Digest
SYNC_WRITE_BACK_OF: Final = "Sync-Write-Back-Of"  # the other store's sync that this one repeats
SYNC_WORKSPACE: Final = "Sync-Workspace"

# On a sync answer: two answers are compared by these, without being parsed.
SYNC_ID: Final = "Sync-Id"
SYNC_STATUS: Final = "Sync-Status"
SYNC_RECORDS: Final = "Sync-Records"
SYNC_DIGEST: Final = "Sync-Digest"

# Added by the gateway to every forwarded answer (`old` or `new`); sync_new sends it to PostgREST.
SYNC_SYSTEM: Final = "Sync-System"
SYNC_OPERATOR_TOKEN: Final = "Sync-Operator-Token"  # noqa: S105 - a header's name, not its secret

REQUEST_ID: Final = "X-Request-Id"
CLIENT_ID: Final = "X-Client-Id"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
RETRY_AFTER: Final = "Retry-After"

PROBLEM_JSON: Final = "application/problem+json"
