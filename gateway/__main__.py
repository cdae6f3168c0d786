"""The `syncgate` command, also as `python -m gateway`."""

from __future__ import annotations


def main() -> None:
    """Run the command."""
    from gateway.cli.app import app  # noqa: PLC0415 - worker processes import this module's package

    app(prog_name="syncgate")


if __name__ == "__main__":
    main()
