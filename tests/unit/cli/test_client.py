"""The command finds its gateway: command line, environment, .env, then a stack that is up."""

from __future__ import annotations

import pytest

from gateway.cli.client import (
    DEFAULT_URL,
    BadTargetError,
    Gateway,
    Target,
    UnreachableError,
    find_target,
    read_pairs,
)


def _stack(folder, **pairs):
    (folder / ".devstack").mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{name}={value}\n" for name, value in pairs.items())
    (folder / ".devstack" / "env").write_text(lines)


def _find(folder, url=None, token=None, **environment):
    return find_target(url, token, environment=environment, folder=folder)


def test_with_nothing_set_the_default_is_tried(tmp_path):
    """A gateway on this machine with default settings is found."""
    assert _find(tmp_path) == Target(DEFAULT_URL, None, "default")


def test_the_more_particular_place_wins(tmp_path):
    """Command line before environment before .env before the dev stack."""
    _stack(tmp_path, GATEWAY_ADMIN_URL="http://stack:1", GATEWAY_TOKEN="stack")
    assert _find(tmp_path).url == "http://stack:1"
    (tmp_path / ".env").write_text("GATEWAY_ADMIN_URL=http://file:2\n")
    found = _find(tmp_path)
    assert (found.url, found.token, found.source) == ("http://file:2", "stack", ".env")
    assert _find(tmp_path, GATEWAY_ADMIN_URL="http://env:3").url == "http://env:3"
    found = _find(tmp_path, "http://line:4/", "line", GATEWAY_ADMIN_URL="http://env:3")
    assert (found.url, found.token, found.source) == ("http://line:4", "line", "--url")


def test_a_stack_above_this_folder_is_found(tmp_path):
    """Somebody in a subfolder of the project need not climb up."""
    _stack(tmp_path, GATEWAY_ADMIN_URL="http://stack:1", GATEWAY_TOKEN="secret")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert _find(below).token == "secret"


@pytest.mark.parametrize(
    ("pairs", "url"),
    [
        ({"GATEWAY_ADMIN_PORT": "9"}, "http://127.0.0.1:9"),
        ({"GATEWAY_ADMIN_PORT": "9", "GATEWAY_ADMIN_HOST": "0.0.0.0"}, "http://127.0.0.1:9"),
        ({"GATEWAY_ADMIN_PORT": "9", "GATEWAY_ADMIN_HOST": "::1"}, "http://[::1]:9"),
    ],
)
def test_the_gateways_own_settings_say_where_it_is(tmp_path, pairs, url):
    """What makes it listen also makes it found."""
    assert _find(tmp_path, **pairs).url == url


@pytest.mark.parametrize("url", ["localhost:8090", "ftp://x", "http://", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(tmp_path, url):
    """Before anything is sent."""
    with pytest.raises(BadTargetError):
        _find(tmp_path, url)


def test_pairs_are_read_leniently(tmp_path):
    """Comments, exports, quotes and lines that are none of it."""
    file = tmp_path / "env"
    file.write_text("# A=1\n\nexport B=2\nC='x y'\nD=\nnonsense\n E = 5 \n")
    assert read_pairs(file) == {"B": "2", "C": "x y", "D": "", "E": "5"}
    assert read_pairs(tmp_path / "missing") == {}
    file.write_bytes(b"\xff\xfe")
    assert read_pairs(file) == {}


def test_nobody_there_is_unreachable():
    """With the cause in words."""
    with pytest.raises(UnreachableError, match="refused"):
        Gateway(Target("http://127.0.0.1:9", None, "test")).get("/healthz")
