"""What Prometheus reads, from a gateway that has work behind it, judged by Prometheus' own tool."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.support.gateway_process import TOKEN, call, until


@pytest.fixture(scope="module")
def scrape(gateway) -> str:
    """One scrape after a rollout began, both systems answered and a sync was mirrored or not."""
    gateway.order("start", reason="scrape")
    assert gateway.order("weight", percent=50, reason="scrape").status == 200
    for _ in range(20):
        gateway.status()
        gateway.sync()
    gateway.admin("/user-reports", {"severity": "minor", "text": "late"})

    def full() -> str | None:
        authorized = {"Authorization": f"Bearer {TOKEN}"}
        text = call(f"{gateway.admin_url}/metrics", **authorized).body.decode()
        return text if re.search(r"duration_seconds_count\S+ [1-9]", text) else None

    return until(full)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH")
def test_promtool_has_nothing_to_say(scrape):
    """Names, units, types and help texts are as Prometheus wants them."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=scrape, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_family_is_described(scrape):
    """A figure that nobody explains helps nobody at night."""
    assert "Not described." not in scrape


def test_what_is_not_known_is_left_out(scrape):
    """No NaN, no made-up zero: a system's figure is there or it is not."""
    values = re.findall(r"^syncgate_\S+ (\S+)$", scrape, re.MULTILINE)
    assert values
    assert not {"NaN", "None", "nan"} & set(values)
    assert 'syncgate_measurement{metric="match_ratio"' not in scrape
