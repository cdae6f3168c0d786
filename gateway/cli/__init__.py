"""The `syncgate` command."""
