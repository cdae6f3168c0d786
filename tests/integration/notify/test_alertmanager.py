"""A real Alertmanager: fires while the trouble lasts, routes by level, ends when we say so."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from gateway.adapters.notify.alertmanager import AlertmanagerChannel
from gateway.adapters.notify.posting import Poster
from gateway.adapters.notify.targets import Targets
from gateway.ports.alerts import ChannelRefusedError, Severity, Stage
from ops.devstack.ports import accepts, free_port
from ops.devstack.process import Command, Process
from tests.support.told import rendered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = Targets(frozenset({"127.0.0.1"}), private=True)
CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for the tests of this file; its URL."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("needs alertmanager on PATH (Debian: prometheus-alertmanager)")
    folder: Path = tmp_path_factory.mktemp("alertmanager")
    (folder / "config.yml").write_text(CONFIG)
    port = free_port()
    process = Process(
        Command(
            name="alertmanager",
            argv=[
                program,
                f"--config.file={folder / 'config.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            log=folder / "log",
            cwd=folder,
        )
    )
    process.wait_until(lambda: accepts(port))
    yield f"http://127.0.0.1:{port}"
    process.stop()


def firing(url: str, **filters: str) -> list[dict[str, Any]]:
    """What it takes to be firing now."""
    wanted = [f'{name}="{value}"' for name, value in filters.items()]
    return httpx2.get(f"{url}/api/v2/alerts", params={"filter": wanted}, trust_env=False).json()


def channel(url: str) -> AlertmanagerChannel:
    """The channel to it."""
    return AlertmanagerChannel(Poster("Alertmanager", url, HERE))


async def test_an_incident_fires_grows_and_ends(alertmanager: str) -> None:
    """One alert at a time, at the level it has now; none once it is over."""
    now_us = time.time_ns() // 1_000
    about = {"rule": "error_rate", "raised_us": now_us - 60_000_000}
    told = channel(alertmanager)

    def message(level: Severity, stage: Stage) -> Any:
        return rendered(incident=77, level=level, stage=stage, figures=about, made_us=now_us)

    await told.send(message(Severity.HIGH, Stage.RAISED))
    await told.send(message(Severity.HIGH, Stage.RAISED))
    (alert,) = firing(alertmanager, incident="77")
    assert alert["labels"] == {
        "alertname": "error_rate", "severity": "high", "service": "syncgate", "system": "new",
        "incident": "77",
    }  # fmt: skip
    assert alert["annotations"]["summary"] == "Error rate too high (new)"
    assert alert["annotations"]["todo"] == 'syncgate rollback --reason "errors"'
    assert alert["status"]["state"] in {"active", "unprocessed"}

    await told.send(message(Severity.CRITICAL, Stage.UPDATED))
    (alert,) = firing(alertmanager, incident="77")
    assert alert["labels"]["severity"] == "critical"

    await told.send(message(Severity.CRITICAL, Stage.RESOLVED))
    assert firing(alertmanager, incident="77") == []


async def test_news_fires_for_a_moment_only(alertmanager: str) -> None:
    """News has no end of its own, so it gets one."""
    now_us = time.time_ns() // 1_000
    news = rendered(
        incident=0, level=Severity.LOW, stage=Stage.TOLD, message="promoted", made_us=now_us,
        figures={"rule": None, "system": None, "raised_us": None},
    )  # fmt: skip
    await channel(alertmanager).send(news)
    (alert,) = firing(alertmanager, alertname="promoted")
    assert "incident" not in alert["labels"]
    assert alert["endsAt"] > alert["startsAt"]


async def test_whatever_a_rule_is_called_is_taken(alertmanager: str) -> None:
    """Label values are any text; what Alertmanager would refuse never leaves us."""
    now_us = time.time_ns() // 1_000
    for text in ("\u202eevil\x00\n", "表ポあA鷗ŒéB", "x" * 10_000, '"}{=~'):
        news = rendered(figures={"rule": text, "raised_us": now_us}, made_us=now_us)
        await channel(alertmanager).send(news)
    assert len(firing(alertmanager, incident="12")) == 4


async def test_a_wrong_address_is_refused_for_good(alertmanager: str) -> None:
    """Another path of the same server has no such call."""
    with pytest.raises(ChannelRefusedError, match="404"):
        await channel(f"{alertmanager}/nothing-here").send(rendered())
