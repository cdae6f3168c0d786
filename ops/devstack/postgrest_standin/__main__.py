"""``python -m ops.devstack.postgrest_standin``: serve, with the settings of the environment."""

from __future__ import annotations

import os
import sys

import uvicorn

from ops.devstack.postgrest_standin.app import create_app
from ops.devstack.postgrest_standin.settings import from_environment


def main() -> int:
    """Serve until told to stop."""
    try:
        settings = from_environment(os.environ)
    except ValueError as exc:
        sys.stderr.write(f"PostgREST stand-in: {exc}\n")
        return 2
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
