"""``python -m ops.devstack up|demo [COUNT]``."""

from __future__ import annotations

import sys

_USAGE = "usage: python -m ops.devstack up|demo [COUNT]"


def main(arguments: list[str]) -> int:
    """Run one of the two."""
    if arguments == ["up"]:
        from ops.devstack.up import up  # noqa: PLC0415 - each command loads its own

        return up()
    if arguments == ["demo"] or (arguments[:1] == ["demo"] and arguments[1].isdigit()):
        from ops.devstack.demo.story import demo  # noqa: PLC0415 - as above

        return demo(*map(int, arguments[1:]))
    sys.stderr.write(f"{_USAGE}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
