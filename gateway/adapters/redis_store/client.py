"""
redis-py's clients, made from an `Address`: short deadlines, no retries of its own.

Whether a call may be made twice is known only to whoever makes it, so redis-py repeats nothing
(but for the redirects of a cluster). `socket_timeout` bounds each read, callers bound the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import redis
import redis.asyncio
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ConstantBackoff, NoBackoff
from redis.cluster import ClusterNode as BlockingNode
from redis.cluster import RedisCluster as BlockingCluster
from redis.retry import Retry as BlockingRetry
from redis.sentinel import Sentinel as BlockingSentinel

from gateway.adapters.redis_store.address import Way

if TYPE_CHECKING:
    from gateway.adapters.redis_store.address import Address

MAX_CONNECTIONS: Final = 64
_NEW_PRIMARY_S: Final = 0.02
_REDIRECTS: Final = 3
Client = Any
"""`redis.asyncio.Redis` or `RedisCluster`: they share their commands but no base class."""


def open_client(address: Address) -> Client:
    """Make an asyncio client; it connects with its first command."""
    retry = Retry(NoBackoff(), 0)
    if address.way is Way.CLUSTER:
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
            retry=Retry(ConstantBackoff(_NEW_PRIMARY_S), _REDIRECTS),
            **_common(address, retry=None),
        )
    if address.way is Way.SENTINEL:
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            list(address.hosts),
            sentinel_kwargs=_to_sentinel(address, retry),
            **_common(address, retry=retry),
        )
        return sentinel.master_for(address.service)
    return redis.asyncio.Redis(**_place(address), **_common(address, retry=retry))


def open_blocking_client(address: Address, *, max_connections: int = MAX_CONNECTIONS) -> Client:
    """Make a client for threads; it connects with its first command."""
    retry = BlockingRetry(NoBackoff(), 0)
    common = {**_common(address, retry=retry), "max_connections": max_connections}
    if address.way is Way.CLUSTER:
        common["retry"] = BlockingRetry(ConstantBackoff(_NEW_PRIMARY_S), _REDIRECTS)
        return BlockingCluster(
            startup_nodes=[_blocking_node(host, port) for host, port in address.hosts], **common
        )
    if address.way is Way.SENTINEL:
        sentinel = BlockingSentinel(  # type: ignore[no-untyped-call]
            list(address.hosts), sentinel_kwargs=_to_sentinel(address, retry), **common
        )
        return sentinel.master_for(address.service)  # type: ignore[no-untyped-call]
    return redis.Redis(**_place(address), **common)


def _common(address: Address, *, retry: Any) -> dict[str, Any]:
    """Give what every connection of ours has."""
    common: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "socket_timeout": address.timeout_s,
        "socket_connect_timeout": address.timeout_s,
        "max_connections": MAX_CONNECTIONS,
        "protocol": 2,
        "driver_info": None,
        **_encryption(address),
    }
    if address.way is not Way.CLUSTER:
        common["db"] = address.database
    if retry is not None:
        common["retry"] = retry
    return common


def _blocking_node(host: str, port: int) -> BlockingNode:
    return BlockingNode(host, port)  # type: ignore[no-untyped-call]


def _place(address: Address) -> dict[str, Any]:
    if address.way is Way.SOCKET:
        return {"unix_socket_path": address.path}
    [(host, port)] = address.hosts
    return {"host": host, "port": port}


def _to_sentinel(address: Address, retry: Any) -> dict[str, Any]:
    return {
        "username": address.sentinel_username,
        "password": address.sentinel_password,
        "socket_timeout": address.timeout_s,
        "socket_connect_timeout": address.timeout_s,
        "protocol": 2,
        "driver_info": None,
        "retry": retry,
        **_encryption(address),
    }


def _encryption(address: Address) -> dict[str, Any]:
    tls = address.tls
    if tls is None:
        return {}
    return {
        "ssl": True,
        "ssl_ca_certs": tls.ca_certificates,
        "ssl_certfile": tls.certificate,
        "ssl_keyfile": tls.key,
        "ssl_check_hostname": tls.check_hostname,
    }
