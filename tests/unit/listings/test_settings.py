"""Settings: every fault at once, by name, and no secret in any message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from listings.model import PROOF_WORKSPACE, System
from listings.settings import ServiceSettings, SettingsFault, load_settings

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [str(field.alias) for field in ServiceSettings.model_fields.values()]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests start from an environment without any of the settings."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def faults(monkeypatch: pytest.MonkeyPatch, system: System, **environ: str) -> tuple[str, ...]:
    """Load settings that must be refused."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsFault) as caught:
        load_settings(system, env_file=None)
    return caught.value.faults


def test_every_fault_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong and what is missing stand in one message."""
    found = faults(
        monkeypatch, System.OLD, SYNC_BATCH_SIZE="0", DB_POOL_MAX="many", LOG_LEVEL="loud",
        SYNC_WORKSPACE_ID="a b", SYNC_OLD_PORT="70000",
    )  # fmt: skip
    assert {fault.split(":")[0] for fault in found} == {
        "SYNC_BATCH_SIZE", "DB_POOL_MAX", "LOG_LEVEL", "SYNC_WORKSPACE_ID", "SYNC_OLD_PORT",
        "DATABASE_URL",
    }  # fmt: skip


def test_the_new_service_needs_its_rest_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Address and key are named, and so is what they look like."""
    found = faults(monkeypatch, System.NEW)
    assert [fault.split(":")[0] for fault in found] == [
        "SUPABASE_REST_URL",
        "SUPABASE_SERVICE_ROLE_KEY",
    ]


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a fault nor a repr has a key in it."""
    found = faults(
        monkeypatch, System.NEW, SUPABASE_SERVICE_ROLE_KEY="hunter2", SUPABASE_ANON_KEY="hunter2",
        SUPABASE_REST_HEADERS_AUTHORIZATION="hunter2", SUPABASE_URL="ftp://x",
    )  # fmt: skip
    assert {fault.split(":")[0] for fault in found} >= {
        "SUPABASE_SERVICE_ROLE_KEY",
        "SUPABASE_REST_HEADERS_AUTHORIZATION",
        "SUPABASE_URL",
    }
    assert "hunter2" not in "".join(found)
    monkeypatch.setenv("SUPABASE_URL", "https://x.supabase.co/")
    assert "hunter2" not in repr(ServiceSettings(_env_file=None))


def test_pool_bounds_and_proof_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules between settings are told like the others."""
    found = faults(
        monkeypatch, System.OLD, DB_POOL_MIN="9", DB_POOL_MAX="3",
        SYNC_WORKSPACE_ID=PROOF_WORKSPACE, DATABASE_URL="postgresql:///x",
    )  # fmt: skip
    assert [fault.split(":")[0] for fault in found] == ["SYNC_WORKSPACE_ID", "DB_POOL_MIN"]


def test_rest_settings_are_derived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Address and headers follow from URL and keys unless given."""
    monkeypatch.setenv("SUPABASE_URL", "https://x.supabase.co/")
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "service")
    monkeypatch.setenv("SUPABASE_ANON_KEY", "anon")
    settings = load_settings(System.NEW, env_file=None)
    assert settings.rest_url == "https://x.supabase.co/rest/v1"
    assert settings.rest_apikey
    assert settings.rest_apikey.get_secret_value() == "anon"
    assert settings.rest_authorization
    assert settings.rest_authorization.get_secret_value() == "Bearer service"
    monkeypatch.setenv("SUPABASE_REST_HEADERS_AUTHORIZATION", "Bearer other")
    given = load_settings(System.NEW, env_file=None).rest_authorization
    assert given
    assert given.get_secret_value() == "Bearer other"


def test_an_env_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment wins over the file; an empty variable is as if unset."""
    file = tmp_path / ".env"
    file.write_text("DATABASE_URL=postgresql:///x\nSYNC_BATCH_SIZE=7\nSYNC_OLD_PORT=1\n")
    monkeypatch.setenv("SYNC_BATCH_SIZE", "9")
    monkeypatch.setenv("SYNC_OLD_PORT", "")
    settings = load_settings(System.OLD, env_file=file)
    assert (settings.batch_size, settings.port(System.OLD)) == (9, 1)
