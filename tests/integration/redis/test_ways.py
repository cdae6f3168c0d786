"""Every way to a Redis, on real servers: TLS, ACL users, sockets, sentinels, clusters."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gateway.adapters.redis_store.address import read_address
from gateway.adapters.redis_store.board import RedisBoard
from gateway.adapters.redis_store.idempotency import RedisKeys
from gateway.adapters.redis_store.lease import RedisLease
from gateway.adapters.redis_store.ledger import RedisLedger
from gateway.adapters.redis_store.probes import RedisProbes
from gateway.adapters.redis_store.server import Server
from gateway.adapters.redis_store.state import RedisStore
from gateway.errors import (
    StateUnreadableError,
    StoreFullError,
    StoreReadOnlyError,
    StoreRefusedError,
    StoreStartingError,
    StoreUnavailableError,
    SyncgateError,
)
from gateway.ports.fleet import HolderAsk
from sync_new.limiter import Gcra
from sync_new.redis_budget import RedisTat
from tests.contract.fleet.contract import QUOTA, ask
from tests.contract.state_store.contract import step
from tests.support.redis_servers import KINDS, LOOPBACK, RedisServer
from tests.support.scale import scale

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis_servers import RedisFactory

PATIENCE = "timeout_ms=5000"
SOME = KINDS[: scale(full=2, quick=1)]
"""Fleets of servers take their time: under `make test` one kind of them has to do."""


@asynccontextmanager
async def connected(url: str):
    """Connections to the URL, patient unless the URL says otherwise."""
    patient = url if "timeout_ms" in url else f"{url}{'&' if '?' in url else '?'}{PATIENCE}"
    server = Server(read_address(patient))
    yield server
    await server.close()


async def everything_works(url: str) -> None:
    """Use every script once, and be told a new state."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with connected(url) as server:
        board = RedisBoard(server, "one")
        listening = asyncio.create_task(board.listen(heard.put_nowait))
        assert await asyncio.wait_for(heard.get(), 10) == ""
        lease, store = RedisLease(server, "one"), RedisStore(server)
        assert await lease.renew()
        assert (await store.commit(step(0, 1))).version == 1
        assert await asyncio.wait_for(heard.get(), 10) == "state 1"
        assert (await board.post({"number": 1})).version == 1
        asks = [HolderAsk("w", "client", QUOTA, ask("a", want=5))]
        assert (await RedisLedger(server).exchange(asks, holders=1))[0].credit > 0
        assert await RedisProbes(server).probe("new", permits=1, window_ms=100)
        await lease.release()
        listening.cancel()
        stored = await store.load()
        assert stored is not None
        assert (await store.verify_audit()).intact
    tat = RedisTat(url)
    assert await tat.reserve(Gcra.per_second(10)) == 0, "the new service takes the same URL"
    await tat.close()
    keys = RedisKeys(url if "timeout_ms" in url else f"{url}{'&' if '?' in url else '?'}{PATIENCE}")
    for number in range(20):
        scope = bytes([number]) * 24
        claimed = keys.claim(scope, b"p", side="old", now_s=0, lease_s=9, ttl_s=9)
        assert claimed[0] == "claimed"
        keys.finish(scope, side="old", head=b"head", body=b"body")
        claimed = keys.claim(scope, b"p", side="old", now_s=0, lease_s=9, ttl_s=9)
        assert claimed == ("done", "old", b"head", b"body")
    keys.close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    folder.chmod(0o755)
    key.chmod(0o644)
    return key, certificate


async def test_tls(redis_factory: RedisFactory, tmp_path: Path) -> None:
    """With the certificate named everything works; without, or under another name, nothing."""
    key, certificate = _certificate(tmp_path)
    server = redis_factory("redis", "--tls-port", "0", secured=True)
    server.stop()
    server.options = [
        "--tls-port", str(server.port), "--port", "0", "--tls-cert-file", str(certificate),
        "--tls-key-file", str(key), "--tls-ca-cert-file", str(certificate),
        "--tls-auth-clients", "no",
    ]  # fmt: skip
    server.start()
    url = f"rediss://localhost:{server.port}"
    await everything_works(f"{url}?ssl_ca_certs={certificate}")
    for wrong in (
        f"{url}",
        f"rediss://{LOOPBACK}:{server.port}?ssl_ca_certs={certificate}",
        f"redis://localhost:{server.port}",
    ):
        async with connected(wrong) as plain:
            with pytest.raises(StoreUnavailableError, match="cannot be reached"):
                await RedisStore(plain).commit(step(0, 1))
    unnamed = f"rediss://{LOOPBACK}:{server.port}?ssl_ca_certs={certificate}"
    async with connected(f"{unnamed}&ssl_check_hostname=false") as unchecked:
        assert await RedisStore(unchecked).load() is not None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_user_with_no_right_but_to_our_prefix(
    redis_factory: RedisFactory, kind: str
) -> None:
    """The rights named in the documentation are enough; with fewer, it is said what is missing."""
    server = redis_factory(kind)
    with server.direct() as direct:
        direct.execute_command(
            "ACL", "SETUSER", "gate", "on", ">hunter2", "~{team}:*", "~{team:*", "&{team}:*",
            "+@all", "-@admin", "-@dangerous",
        )  # fmt: skip
        direct.execute_command("ACL", "SETUSER", "less", "on", ">hunter2", "~{team}:*", "+@all")
        direct.execute_command("ACL", "SETUSER", "default", "resetpass", ">other")
    await everything_works(f"redis://gate:hunter2@{LOOPBACK}:{server.port}?prefix=team")
    for user, secret, words in (
        ("gate", "hunter3", "refused the user name or password"),
        ("nobody", "hunter2", "refused the user name or password"),
        ("", "hunter2", "refused the user name or password"),
        ("less", "hunter2", "does not let this user"),
    ):
        async with connected(f"redis://{user}:{secret}@{LOOPBACK}:{server.port}?prefix=tim") as no:
            with pytest.raises(StoreRefusedError, match=words) as refusal:
                await RedisStore(no).commit(step(0, 1))
            assert "REDIS_URL" in refusal.value.todo
            assert secret not in str(refusal.value)
    async with connected(server.url) as unknown:
        with pytest.raises(StoreRefusedError, match="refused the user name"):
            await RedisStore(unknown).load()


async def test_a_socket_of_this_machine(redis_factory: RedisFactory) -> None:
    """Another database of it is another world."""
    server = redis_factory("valkey")
    server.stop()
    path = server.folder / "valkey.sock"
    server.options = ["--unixsocket", str(path)]
    server.start()
    await everything_works(f"unix://{path}?db=3")
    async with connected(f"unix://{path}") as other:
        assert await RedisStore(other).load() is None


SENTINEL = """
sentinel monitor main 127.0.0.1 {port} 1
sentinel down-after-milliseconds main 300
sentinel failover-timeout main 3000
"""


@pytest.mark.parametrize("kind", SOME)
async def test_sentinels_name_the_next_primary(redis_factory: RedisFactory, kind: str) -> None:
    """The primary is killed: calls fail for a moment, then go on where the replica was."""
    primary = redis_factory(kind)
    replica = redis_factory(kind, "--replicaof", LOOPBACK, str(primary.port))
    sentinel = redis_factory(kind, sentinel=SENTINEL.format(port=primary.port))
    await _until(lambda: replica.direct().info("replication")["master_link_status"] == "up")
    await _until(lambda: sentinel.direct().sentinel_master("main")["num-slaves"] == 1)
    url = f"redis+sentinel://{LOOPBACK}:1,{LOOPBACK}:{sentinel.port}/main"
    await everything_works(url)
    async with connected(f"{url}?timeout_ms=300") as server:
        store = RedisStore(server)
        assert (await store.commit(step(1, 2))).version == 2
        with primary.direct() as direct:
            direct.wait(1, 5_000)
        primary.kill()
        async with asyncio.timeout(30):
            while True:
                try:
                    committed = await store.commit(step(2, 3))
                    break
                except StoreUnavailableError:
                    await asyncio.sleep(0.1)
        assert committed.version == 3
        assert [entry.seq for entry in await store.audit()] == [3, 2, 1]
    async with connected(f"redis+sentinel://{LOOPBACK}:{sentinel.port}/other") as unknown:
        with pytest.raises(StoreUnavailableError, match="cannot be reached"):
            await RedisStore(unknown).load()


async def _until(ready) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def _cluster(factory: RedisFactory, kind: str) -> list[RedisServer]:
    """Three primaries that share the slots."""
    nodes = [
        factory(
            kind, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
            "--cluster-node-timeout", "2000",
        )
        for _ in range(3)
    ]  # fmt: skip
    for number, node in enumerate(nodes):
        with node.direct() as direct:
            first, last = number * 16_384 // 3, (number + 1) * 16_384 // 3 - 1
            direct.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            direct.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for other in nodes[:number]:
                direct.execute_command("CLUSTER", "MEET", LOOPBACK, other.port)
    return nodes


@pytest.mark.parametrize("kind", SOME)
async def test_a_cluster(redis_factory: RedisFactory, kind: str) -> None:
    """Each script's keys lie on one node, keyed writes on all; a lost node is an outage."""
    nodes = _cluster(redis_factory, kind)

    def agreed() -> bool:
        infos = [node.direct().execute_command("CLUSTER", "INFO") for node in nodes]
        return all(b"cluster_state:ok" in info and b"known_nodes:3" in info for info in infos)

    await _until(agreed)
    url = f"redis+cluster://{LOOPBACK}:1,{LOOPBACK}:{nodes[0].port}"
    await everything_works(url)
    assert sum(node.direct().dbsize() > 0 for node in nodes) > 1
    async with connected(f"{url}?timeout_ms=300") as server:
        store = RedisStore(server)
        assert (await store.commit(step(1, 2))).version == 2
        for node in nodes:
            node.kill()
        with pytest.raises(StoreUnavailableError):
            await store.commit(step(2, 3))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_server_may_say_instead(redis_factory: RedisFactory, kind: str) -> None:
    """A replica, a full one, one without that database: each is named, with what to do."""
    primary = redis_factory(kind)
    replica = redis_factory(kind, "--replicaof", LOOPBACK, str(primary.port))
    full = redis_factory(kind, "--maxmemory-policy", "noeviction")
    with full.direct() as direct:
        direct.set("other", "x" * 2_000_000)
        direct.config_set("maxmemory", "1mb")
    cases: list[tuple[str, type[SyncgateError], str]] = [
        (replica.url, StoreReadOnlyError, "is a read-only replica"),
        (full.url, StoreFullError, "no memory left"),
        (f"{primary.url.removesuffix('0')}99", StoreRefusedError, "no database of the number"),
        (f"redis://{LOOPBACK}:1", StoreUnavailableError, "cannot be reached"),
        (f"redis+cluster://{LOOPBACK}:{primary.port}", StoreUnavailableError, "cluster"),
        (f"redis+sentinel://{LOOPBACK}:{primary.port}/main", StoreUnavailableError, "said no"),
    ]
    for url, error, words in cases:
        async with connected(url) as server:
            with pytest.raises(error, match=words) as refusal:
                await RedisStore(server).commit(step(0, 1))
            assert refusal.value.todo
    async with connected(full.url) as server:
        assert await RedisLease(server, "one").renew(), "a full store has one head still"
        assert await RedisStore(server).load() is None
    async with connected(primary.url) as server:
        await server.client.set(server.keys.state, "theirs")
        with pytest.raises(StateUnreadableError):
            await RedisStore(server).load()


async def test_a_server_that_loads_is_waited_for(redis_factory: RedisFactory) -> None:
    """It is there, it says so, and it is asked again."""
    server = redis_factory("redis")
    with server.direct() as direct:
        for number in range(2_000):
            direct.set(f"other:{number}", "x" * 100)
        direct.save()
    server.kill()
    server.options = [
        "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024",
    ]  # fmt: skip
    server.start()
    async with connected(server.url) as connections:
        with pytest.raises(StoreStartingError, match="still loading"):
            await RedisStore(connections).commit(step(0, 1))
        async with asyncio.timeout(30):
            while True:
                try:
                    await RedisStore(connections).commit(step(0, 1))
                    break
                except StoreStartingError:
                    await asyncio.sleep(0.1)
