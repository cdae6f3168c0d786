"""`REDIS_URL`, read: every form, every fault by name, never a password in a message."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.redis_store.address import Address, Tls, Way, read_address
from gateway.adapters.redis_store.keys import Keys
from gateway.errors import SettingsError

ONE = Address(Way.DIRECT, hosts=(("host", 6379),))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host", ONE),
        ("redis://host/", ONE),
        ("  redis://host:6379/0 ", ONE),
        ("REDIS://host", ONE),
        ("redis://[::1]:7000/3", Address(Way.DIRECT, hosts=(("::1", 7000),), database=3)),
        ("redis://[fe80::1]", Address(Way.DIRECT, hosts=(("fe80::1", 6379),))),
        ("redis://:pw@host", Address(Way.DIRECT, hosts=(("host", 6379),), password="pw")),
        (
            "redis://me:p%40%3A%2Fw@host",
            Address(Way.DIRECT, hosts=(("host", 6379),), username="me", password="p@:/w"),
        ),
        ("rediss://host", Address(Way.DIRECT, hosts=(("host", 6379),), tls=Tls())),
        (
            "rediss://host?ssl_check_hostname=false",
            Address(Way.DIRECT, hosts=(("host", 6379),), tls=Tls(check_hostname=False)),
        ),
        ("unix:///run/redis.sock", Address(Way.SOCKET, path="/run/redis.sock")),
        (
            "unix://me:pw@/run/redis.sock?db=2",
            Address(Way.SOCKET, path="/run/redis.sock", database=2, username="me", password="pw"),
        ),
        (
            "redis+sentinel://a,b:26380/main",
            Address(Way.SENTINEL, hosts=(("a", 26379), ("b", 26380)), service="main"),
        ),
        (
            "rediss+sentinel://me:pw@a/main/4?sentinel_username=s&sentinel_password=t",
            Address(
                Way.SENTINEL, hosts=(("a", 26379),), service="main", database=4, username="me",
                password="pw", sentinel_username="s", sentinel_password="t", tls=Tls(),
            ),
        ),
        ("redis+cluster://a,b:7001", Address(Way.CLUSTER, hosts=(("a", 6379), ("b", 7001)))),
        (
            "redis://host?prefix=team-a&timeout_ms=150",
            Address(Way.DIRECT, hosts=(("host", 6379),), prefix="team-a", timeout_s=0.15),
        ),
    ],
)  # fmt: skip
def test_every_form(url: str, expected: Address) -> None:
    """One server, TLS, a socket, sentinels, a cluster; credentials percent-encoded."""
    assert read_address(url) == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "does not begin as it must"),
        ("host:6379", "does not begin as it must"),
        ("http://host", "does not begin as it must"),
        ("redis://", "host is missing"),
        ("redis://ho st", "host is missing or malformed"),
        ("redis://host:port", "port is no number"),
        ("redis://host:0", "port is no number"),
        ("redis://host:70000", "port is no number"),
        ("redis://host/three", "database is no number"),
        ("redis://host/1/2", "database is no number"),
        ("redis://host/-1", "database is no number"),
        ("redis://a,b", "several hosts need"),
        ("redis://secret@host", "cannot be told apart"),
        ("redis://me:se@cret@host", "cannot be told apart"),
        ("redis://host?timeout=1", "option after ? is not known"),
        ("redis://host?timeout_ms=0", "timeout_ms is no number"),
        ("redis://host?timeout_ms=soon", "timeout_ms is no number"),
        ("redis://host?prefix=a&prefix=b", "prefix stands twice"),
        ("redis://host?prefix={a}", "prefix cannot be used"),
        ("redis://host?prefix=", "prefix cannot be used"),
        ("redis://host?db=1", "db is for unix:// only"),
        ("redis://host?ssl_ca_certs=/etc/ca", "ssl_ca_certs needs rediss://"),
        ("rediss://host?ssl_ca_certs=/no/such/file", "file of ssl_ca_certs is not there"),
        ("rediss://host?ssl_certfile=/", "file of ssl_certfile is not there"),
        ("rediss://host?ssl_certfile=/", "belong together"),
        ("rediss://host?ssl_check_hostname=maybe", "ssl_check_hostname is neither"),
        ("redis+sentinel://host", "name of the service is missing"),
        ("redis+sentinel://host/main/x", "database is no number"),
        ("redis+cluster://host/1", "only database 0"),
        ("unix://", "whole path"),
        ("unix://host/path", "whole path"),
        ("unix:///path?db=x", "db is no number"),
    ],
)
def test_every_fault_is_named(url: str, problem: str) -> None:
    """With the variable's name; the secret of the URL is not repeated."""
    with pytest.raises(SettingsError) as refusal:
        read_address(url)
    assert any(problem in fault.problem or problem in str(fault) for fault in refusal.value.faults)
    assert {fault.where for fault in refusal.value.faults} == {"REDIS_URL"}
    assert "secret" not in str(refusal.value)


def test_all_faults_are_said_at_once() -> None:
    """Nobody wants to correct them one by one."""
    with pytest.raises(SettingsError) as refusal:
        read_address("rediss+cluster://hunter2@a b:x/7?prefix=%20&nonsense=hunter2")
    assert len(refusal.value.faults) == 6
    assert "hunter2" not in str(refusal.value)


@given(
    scheme=st.sampled_from(["redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "x"]),
    rest=st.text(max_size=60),
)
def test_nothing_but_a_settings_error(scheme: str, rest: str) -> None:
    """Whatever stands there."""
    try:
        address = read_address(f"{scheme}://{rest}")
    except SettingsError:
        return
    assert isinstance(address, Address)


def test_an_address_shows_no_secret() -> None:
    """Neither in messages nor in a debugger's view."""
    address = read_address("redis+sentinel://me:hunter2@a,b/main?sentinel_password=hunter3")
    assert str(address) == "main (a:26379,b:26379)"
    assert "hunter" not in repr(address)
    assert str(read_address("unix://:hunter2@/run/redis.sock")) == "/run/redis.sock"


def test_all_that_one_script_touches_lies_in_one_slot() -> None:
    """Two prefixes have no key in common, and every key carries a tag."""
    one, other = Keys("one"), Keys("other")
    names = [name for name in Keys.__slots__ if name not in {"prefix", "shares"}]
    keys = [getattr(one, name) for name in names] + list(one.shares)
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("{one}:") for key in keys)
    assert not set(keys) & {getattr(other, name) for name in names}
    for scope in (b"\x00" * 24, b"\xff" * 24):
        group = {key.partition("}")[0] for key in one.idempotency(scope)}
        assert len(group) == 1


def test_scripts_lie_beside_their_callers() -> None:
    """Each is read by one module, and says what its keys, arguments and answers are."""
    folder = Path(__file__).parents[3] / "gateway" / "adapters" / "redis_store"
    callers = "".join(path.read_text() for path in folder.glob("*.py"))
    for script in folder.glob("*.lua"):
        text = script.read_text()
        assert callers.count(f'Script.read("{script.stem}")') == 1
        assert text.startswith("#!lua")
        for word in ("KEYS", "ARGV", "Answer"):
            assert f"-- {word}" in text.partition("\nlocal")[0], (script.name, word)
