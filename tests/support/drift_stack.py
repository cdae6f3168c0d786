"""A whole stack whose new service drifts, reads a feed of its own, and may not roll back."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from ops.devstack import stack
from ops.devstack.stack import Options, Stack
from tests.support.shared import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from ops.devstack.process import Process

COMPARISON = "config/comparison.toml"


class DriftStack(Stack):
    """PostgreSQL, PostgREST with `db-tx-end=commit`, old, the drifting new, and the gateway."""

    def __init__(self, folder: Path, *, control_rate: float) -> None:
        self.feeds = {"sync_old": folder / "old.csv", "sync_new": folder / "new.csv"}
        self.wrong = folder / "drift.json"
        super().__init__(
            Options(
                folder=folder,
                preferred_ports=False,
                extra={
                    "SYNC_SOURCE": str(ROOT / "tests/support/osaka_source.toml"),
                    "SYNC_DRIFT": str(self.wrong),
                    "GATEWAY_POLICY": str(folder / "config" / "rollout.toml"),
                    "GATEWAY_RATE_LIMIT_PER_SECOND": "0",
                },
            ),
            lambda _part: None,
        )
        for feed in self.feeds.values():
            feed.write_text("L01_001,L01_002,L01_003\n1,2,3\n", encoding="utf-8")
        self.drift()
        (folder / "config").mkdir()
        shutil.copy(ROOT / "config/rollout.toml", folder / "config/rollout.toml")
        shipped = (ROOT / COMPARISON).read_text("utf-8")
        own = shipped.replace("rate = 0.05", f"rate = {control_rate}").replace(
            "examples_per_field = 20", "examples_per_field = 10_000"
        )
        own = own.replace("differences_per_listing = 100 ", "differences_per_listing = 1_000 ")
        assert (own.count("10_000"), own.count("1_000 ")) == (1, 1)
        (folder / COMPARISON).write_text(own, encoding="utf-8")

    def drift(self, **wrong: Any) -> None:
        """Let new be wrong so from now on; nothing: let it be right."""
        draft = self.wrong.with_suffix(".draft")
        draft.write_text(json.dumps(wrong), encoding="utf-8")
        draft.replace(self.wrong)

    def _start_rest(self) -> None:
        settings = dict(stack._POSTGREST_SETTINGS)
        stack._POSTGREST_SETTINGS["db-tx-end"] = "commit"
        try:
            super()._start_rest()
        finally:
            stack._POSTGREST_SETTINGS.update(settings)

    def _spawn(self, name: str, arguments: list[str], environment: dict[str, str]) -> Process:
        if name in self.feeds:
            environment = {**environment, "SYNC_SOURCE_FILE": str(self.feeds[name])}
        if name == "sync_new":
            arguments = ["-m", "tests.support.drifting_new"]
        return super()._spawn(name, arguments, environment)
