"""Settings: every fault at once, by its variable's name, and never a secret."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gateway.adapters.redis_store.address import read_address
from gateway.errors import SettingsError
from gateway.settings import Scope, Settings, load_settings
from tests.support.tls import make_certificate

TOKEN = "correct-horse-battery"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of ours and no `.env`."""
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_the_contracts() -> None:
    """What an empty environment means is promised in the outside contract."""
    settings = load_settings()
    assert (settings.port, settings.admin_host, settings.admin_port) == (8080, "127.0.0.1", 8090)
    assert (settings.old_url, settings.new_url) == (
        "http://127.0.0.1:3001", "http://127.0.0.1:3002",
    )  # fmt: skip
    assert (settings.rate_limit_per_second, settings.rate_limit_burst) == (100, 200)
    assert (settings.upstream_limit_per_second, settings.connections_per_address) == (0, 1024)
    assert (settings.breaker_threshold, settings.breaker_timeout_ms) == (5, 60_000)
    assert (settings.workers, settings.admin_tokens) == (1, ())
    assert settings.policy_path.name == "rollout.toml"


def test_every_fault_is_told_at_once_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five mistakes are one message with five names and no stack."""
    wrong = {
        "GATEWAY_PORT": "99999",
        "GATEWAY_WORKERS": "many",
        "GATEWAY_RATE_LIMIT_PER_SECOND": "nan",
        "SYNC_OLD_URL": "ftp://old",
        "LOG_LEVEL": "loud",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    assert {fault.where for fault in refusal.value.faults} == set(wrong)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ("alice", "name:scope:token"),
        (f"alice:root:{TOKEN}", "viewer, operator or admin"),
        ("alice:admin:short", "too weak"),
        ("alice:admin:aaaaaaaaaaaaaaaa", "too weak"),
        ("alice:admin:sha256:beef", "64 hexadecimal"),
        (f"al ice:admin:{TOKEN}", "letters, digits"),
        (f"alice:admin:{TOKEN},alice:viewer:another-token", "stands twice"),
        (f"alice:admin:{TOKEN},bob:viewer:{TOKEN}", "share one token"),
        (f"alice:admin:{TOKEN};until=tomorrow", "2026-12-31"),
    ],
)
def test_a_bad_token_is_explained_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, tokens: str, words: str
) -> None:
    """The message says what is wrong with which entry, and repeats no secret."""
    monkeypatch.setenv("GATEWAY_ADMIN_TOKENS", tokens)
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    said = str(refusal.value)
    assert words in said
    assert "GATEWAY_ADMIN_TOKENS" in said
    assert TOKEN not in said


def test_a_token_is_held_as_its_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain or as `sha256:`, what is kept is the same; printing the settings shows none."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    monkeypatch.setenv(
        "GATEWAY_ADMIN_TOKENS", f"alice:admin:{TOKEN}, bob:operator:sha256:{'a' * 64}"
    )
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@db/x")
    settings = load_settings()
    alice, bob = settings.admin_tokens
    assert (alice.name, alice.scope, alice.sha256.hex()) == ("alice", Scope.ADMIN, digest)
    assert (bob.scope, bob.sha256.hex()) == (Scope.OPERATOR, "a" * 64)
    assert TOKEN not in repr(settings)
    assert "hunter2" not in repr(settings)


def test_a_dotenv_file_is_read_and_the_environment_outranks_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both are the same settings; the nearer one wins."""
    Path(".env").write_text("GATEWAY_PORT=1111\nGATEWAY_ADMIN_PORT=2222\n")
    monkeypatch.setenv("GATEWAY_PORT", "3333")
    settings = load_settings()
    assert (settings.port, settings.admin_port) == (3333, 2222)


def test_an_empty_variable_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """`GATEWAY_PORT=` in a unit file means the default, not a mistake."""
    monkeypatch.setenv("GATEWAY_PORT", "")
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "")
    assert load_settings().port == 8080
    assert load_settings().alert_webhook_url is None


@pytest.mark.parametrize(
    ("prefix", "lease", "expected"),
    [
        ("two words", "10", "greater than or equal to 1000"),
        ("{braced}", "soon", "a valid integer"),
        ("x" * 65, "60001", "less than or equal to 60000"),
        ("クラスタ", "2.5", "a valid integer"),
    ],
)
def test_a_fleets_settings_are_refused_together(
    monkeypatch: pytest.MonkeyPatch, prefix: str, lease: str, expected: str
) -> None:
    """Prefix, lease and name: each fault under its variable, with what was expected."""
    monkeypatch.setenv("GATEWAY_REDIS_PREFIX", prefix)
    monkeypatch.setenv("GATEWAY_LEASE_TIME", lease)
    monkeypatch.setenv("GATEWAY_REPLICA_NAME", "a/b")
    with pytest.raises(SettingsError) as refusal:
        load_settings()
    said = {fault.where: fault.problem for fault in refusal.value.faults}
    assert set(said) == {"GATEWAY_REDIS_PREFIX", "GATEWAY_LEASE_TIME", "GATEWAY_REPLICA_NAME"}
    assert said["GATEWAY_REDIS_PREFIX"] == "must be 1 to 64 letters, digits and . _ : -"
    assert said["GATEWAY_REPLICA_NAME"] == said["GATEWAY_REDIS_PREFIX"]
    assert expected in said["GATEWAY_LEASE_TIME"]


def test_the_prefix_is_part_of_where_the_fleet_meets(monkeypatch: pytest.MonkeyPatch) -> None:
    """It joins whatever options the URL has; without a URL there is no fleet."""
    monkeypatch.setenv("GATEWAY_REDIS_PREFIX", "east")
    assert load_settings().fleet_url == ""
    monkeypatch.setenv("REDIS_URL", "redis://host/1")
    assert load_settings().fleet_url == "redis://host/1?prefix=east"
    monkeypatch.setenv("REDIS_URL", "redis://host/1?timeout_ms=150")
    assert load_settings().fleet_url == "redis://host/1?timeout_ms=150&prefix=east"
    monkeypatch.delenv("GATEWAY_REDIS_PREFIX")
    assert load_settings().fleet_url == "redis://host/1?timeout_ms=150"
    assert load_settings().lease_ms == 5_000


def test_a_prefix_that_is_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the URL and beside it: nobody would know which of the two counts."""
    monkeypatch.setenv("GATEWAY_REDIS_PREFIX", "east")
    monkeypatch.setenv("REDIS_URL", "redis://host?prefix=west")
    with pytest.raises(SettingsError, match="REDIS_URL: prefix stands twice"):
        read_address(load_settings().fleet_url)


def test_a_certificate_that_no_worker_could_use_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that is no PEM, and another's key: said before anything starts."""
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, second):
        directory.mkdir()
    good, other = make_certificate(first), make_certificate(second)
    monkeypatch.setenv("GATEWAY_TLS_CERTIFICATE", str(good.certificate))
    monkeypatch.setenv("GATEWAY_TLS_KEY", str(good.key))
    assert load_settings().tls_key == good.key
    for wrong in (other.key, good.certificate):
        monkeypatch.setenv("GATEWAY_TLS_KEY", str(wrong))
        with pytest.raises(SettingsError, match="GATEWAY_TLS_KEY must be"):
            load_settings()
