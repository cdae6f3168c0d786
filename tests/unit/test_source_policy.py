"""[[sources]] of a policy: what is asked of a Prometheus, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.analysis import Metric
from gateway.core.model import Variant
from gateway.errors import SettingsError
from gateway.policy import PolicyError, Source, load_sources, parse_policy
from gateway.settings import load_settings

SHIPPED = (Path(__file__).parents[2] / "config" / "rollout.toml").read_text()
LOAD = '[[sources]]\nmetric = "database_load_ratio"\nquery = "db_load"\n'


def faults(text: str) -> list[str]:
    """What is said of a policy with this at its end, with the lines counted from there."""
    before = SHIPPED.count("\n") + 1
    with pytest.raises(PolicyError) as refused:
        parse_policy(SHIPPED + "\n" + text)
    return [f"{one.line - before} {one.key} {one.problem}" for one in refused.value.faults]


def test_sources_are_read_with_their_defaults(tmp_path: Path) -> None:
    """Of one system or of none; the shipped policy asks nothing."""
    path = tmp_path / "rollout.toml"
    path.write_text(SHIPPED)
    assert load_sources(path) == ()
    path.write_text(
        SHIPPED + "\n" + LOAD + '[[sources]]\nmetric = "cpu_ratio"\nsystem = "new"\n'
        'query = "1 - avg(rate(idle[5m]))"\nevery_s = 15\nmax_age_s = 60\n'
    )
    assert load_sources(path) == (
        Source(Metric.DATABASE_LOAD_RATIO, None, "db_load", 60, 300),
        Source(Metric.CPU_RATIO, Variant.CANARY, "1 - avg(rate(idle[5m]))", 15, 60),
    )


def test_every_mistake_is_said_at_once_with_its_line() -> None:
    """Unknown metric, our own metric, blank query, a second source of one figure, a bad pace."""
    assert faults('[[sources]]\nmetric = "load"\nquery = "x"\n')[0].startswith("2 ")
    assert (
        "counted by the gateway itself"
        in faults('[[sources]]\nmetric = "error_ratio"\nquery = "x"\n')[0]
    )
    assert (
        "counted by the gateway itself"
        in faults('[[sources]]\nmetric = "match_ratio"\nquery = "x"\n')[0]
    )
    assert "has a source already" in faults(LOAD + LOAD)[0]
    both = faults(LOAD.replace('"db_load"', '" "') + "every_s = 1\nurl = 'http://x'\n")
    assert len(both) == 3
    assert {each.split()[0] for each in both} == {"3", "4", "5"}


@pytest.mark.parametrize(
    "url", ["prometheus:9090", "ftp://p", "http://u:secret@p", "http://p/?q=1", "http://"]
)
def test_an_address_that_is_none_is_refused_by_name(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password in it would be shown; it belongs into the token."""
    monkeypatch.setenv("GATEWAY_PROMETHEUS_URL", url)
    with pytest.raises(SettingsError, match="GATEWAY_PROMETHEUS_URL") as refused:
        load_settings(env_file=None)
    assert "secret" not in str(refused.value)


def test_an_address_may_have_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a proxy; the token is never shown."""
    monkeypatch.setenv("GATEWAY_PROMETHEUS_URL", "https://metrics.example/prom/")
    monkeypatch.setenv("GATEWAY_PROMETHEUS_TOKEN", "hush-hush")
    settings = load_settings(env_file=None)
    assert settings.prometheus_url == "https://metrics.example/prom"
    assert "hush" not in repr(settings)
