"""
One address behind which a Redis gets into every trouble there is, with a standby that lags behind.

Each trouble is a context: it has begun inside, and is over (or about to be mended by whoever uses
that Redis) after it. What clients connect to is a proxy, so that a server can be slow, and so that
another one can take its place.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ops.devstack.workspace import remove
from tests.support.gateway_process import until
from tests.support.redis_servers import LOOPBACK, RedisFactory
from tests.support.slow_proxy import proxy_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis_servers import RedisServer

SLOW_S = 0.2
"""What a slow one adds to each answer."""
_KEPT = ("--appendonly", "yes", "--appendfsync", "no")
"""A process that is killed has handed everything it answered for to the kernel."""


class ShakyRedis:
    """See the module; `serving` is the server that answers now."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        factory = RedisFactory()
        self._stack.callback(factory.stop)
        self.serving, self._standby = (factory("valkey", *_KEPT) for _ in range(2))
        self._proxy = self._stack.enter_context(proxy_thread(self.serving.port))

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://{LOOPBACK}:{self._proxy.port}/0"

    def stop(self) -> None:
        """End everything."""
        self._stack.close()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """SIGKILL; it comes back with what it had."""
        self.serving.kill()
        try:
            yield
        finally:
            self.serving.start()

    @contextmanager
    def held(self) -> Iterator[None]:
        """SIGSTOP: connections stay open, nobody answers."""
        with self.serving.held():
            yield

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Every answer comes later."""
        self._proxy.delay(SLOW_S)
        try:
            yield
        finally:
            self._proxy.delay(0.0)

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """SIGKILL; it comes back with nothing."""
        self.serving.kill()
        try:
            yield
        finally:
            _forget(self.serving)
            self.serving.start()

    def leave_behind(self) -> None:
        """Let the standby know what is known now, and nothing that comes after it."""
        with self._standby.direct() as standby:
            standby.execute_command("REPLICAOF", LOOPBACK, self.serving.port)
            until(lambda: _in_step(self.serving, self._standby))
            standby.execute_command("REPLICAOF", "NO", "ONE")

    @contextmanager
    def failed_over(self) -> Iterator[None]:
        """SIGKILL; the standby takes its place, with what it knew when it was left behind."""
        self.serving.kill()
        try:
            yield
        finally:
            self.serving, self._standby = self._standby, self.serving
            self._proxy.lead_to(self.serving.port)
            _forget(self._standby)
            self._standby.start()


def _forget(server: RedisServer) -> None:
    remove(server.folder / "appendonlydir")


def _in_step(serving: RedisServer, standby: RedisServer) -> bool:
    with serving.direct() as one, standby.direct() as other:
        ours, theirs = one.info("replication"), other.info("replication")
    up = theirs.get("master_link_status") == "up"
    return up and theirs["slave_repl_offset"] >= ours["master_repl_offset"]


TROUBLES = {
    "killed": ShakyRedis.killed,
    "standing still": ShakyRedis.held,
    "slow": ShakyRedis.slow,
    "empty after a restart": ShakyRedis.emptied,
    "failed over": ShakyRedis.failed_over,
}
"""By what people would call it."""
