"""Alerts are read again: by what tells people for the fleet, and by what does so alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.bootstrap.alerts import Alerts, build_alerts
from gateway.control.lease import SoleLease
from gateway.control.snapshots import Snapshots
from gateway.errors import PolicyError
from gateway.ports import Actor
from gateway.settings import Settings
from tests.support.recording import HandClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SHIPPED = Path(__file__).parents[2] / "config"
ANN = Actor("ann")
BEFORE, AFTER = "answer_within_s = 900", "answer_within_s = 901"


class Recorder:
    """As much of a controller as a reload asks for."""

    def __init__(self) -> None:
        self.audited: list[str] = []

    def view(self) -> Any:
        """Nobody looks here."""

    async def note_change(self, action: str, **_: object) -> None:
        """Remember."""
        self.audited.append(action)


@pytest.fixture
async def alerts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Alerts]:
    """What a replica of a fleet tells people with: the fleet's, and its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("rollout.toml", "alerts.toml"):
        shutil.copy(SHIPPED / name, tmp_path)

    def joined(folder: Path) -> Alerts:
        folder.mkdir()
        where = {"GATEWAY_POLICY": tmp_path / "rollout.toml", "GATEWAY_STATE_DIR": folder}
        controller: Any = Recorder()
        return build_alerts(
            Settings(_env_file=None, **where),  # type: ignore[call-arg, arg-type]
            admin_url="http://gw.example",
            clock=HandClock(),
            lease=SoleLease(),
            controller=controller,
            snapshots=Snapshots(workers=1),
        )

    alerts = joined(tmp_path / "shared")
    alerts.alone = joined(tmp_path / "own")
    yield alerts
    await alerts.close()


def patience_s(alerts: Alerts | None) -> set[int | None]:
    """Read what is decided by now."""
    assert alerts is not None
    return {level.answer_within_s for level in alerts.alerting.view().plan.levels}


async def test_a_reload_reaches_what_tells_people_alone(
    alerts: Alerts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other rules and another channel are in force in both, and `close` lets go of the new ones."""
    assert "slack-critical" not in alerts.deliveries.channels
    monkeypatch.setenv("ALERT_SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/x")
    file = tmp_path / "alerts.toml"
    file.write_text(file.read_text().replace(BEFORE, AFTER))
    await alerts.desk.reload(by=ANN, reason="new number")
    for each in (alerts, alerts.alone):
        assert 901 in patience_s(each)
        assert each is not None
        assert "slack-critical" in each.deliveries.channels
        assert "slack-critical" in each.channels.ready


async def test_a_mistake_leaves_both_as_they_were(alerts: Alerts, tmp_path: Path) -> None:
    """Nothing of a file with a mistake is taken up, in neither."""
    file = tmp_path / "alerts.toml"
    file.write_text(file.read_text().replace(BEFORE, 'answer_within_s = "soon"'))
    with pytest.raises(PolicyError):
        await alerts.desk.reload(by=ANN, reason="new number")
    for each in (alerts, alerts.alone):
        assert 900 in patience_s(each)
