"""
A client for the URL under `REDIS_URL`: the same forms as the gateway's, which is told the same URL.

`redis://`, `rediss://`, `unix://`, `redis+sentinel://host,host2/service/0` and
`redis+cluster://host,host2` (both also over TLS as `rediss+...`). Of the options after `?`,
`prefix` is put before the key's name, `timeout_ms` is the gateway's alone, the rest is redis-py's.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode

import redis.asyncio
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

DEFAULT_PREFIX: Final = "syncgate"
TIMEOUT_S: Final = 0.25
_SENTINEL_PORT: Final = 26379
_REDIS_PORT: Final = 6379
_TO_SENTINEL: Final = {"sentinel_username": "username", "sentinel_password": "password"}


def open_redis(url: str) -> tuple[Any, str]:
    """Make a client that connects with its first command; give the prefix of keys, too.

    ValueError for a URL that cannot be read; its text holds no password.
    """
    before, _, query = url.strip().partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    prefix = options.pop("prefix", DEFAULT_PREFIX)
    options.pop("timeout_ms", None)
    to_sentinel = {_TO_SENTINEL[k]: options.pop(k) for k in list(options) if k in _TO_SENTINEL}
    scheme, _, rest = before.partition("://")
    # A call that is late is of no use: it is made without the common budget instead.
    common: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }
    if "+" not in scheme:
        plain = before + (f"?{urlencode(options)}" if options else "")
        return redis.asyncio.Redis.from_url(plain, **common), prefix
    credentials, _, place = rest.rpartition("@")
    username, _, password = credentials.partition(":")
    hosts, _, path = place.partition("/")
    common |= {
        "username": unquote(username) or None,
        "password": unquote(password) or None,
        "ssl": scheme.startswith("rediss"),
        **{name: value for name, value in options.items() if name.startswith("ssl_")},
    }
    if "ssl_check_hostname" in common:
        common["ssl_check_hostname"] = common["ssl_check_hostname"].lower() == "true"
    if scheme.endswith("+cluster"):
        nodes = [ClusterNode(*_host(one, _REDIS_PORT)) for one in hosts.split(",")]
        return RedisCluster(startup_nodes=nodes, **common), prefix
    if not scheme.endswith("+sentinel"):
        raise ValueError("REDIS_URL does not begin as it must")
    service, _, database = path.partition("/")
    kwargs = {**common, **dict.fromkeys(("username", "password")), **to_sentinel}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        [_host(one, _SENTINEL_PORT) for one in hosts.split(",")], sentinel_kwargs=kwargs, **common
    )
    return sentinel.master_for(unquote(service), db=int(database or 0)), prefix


def _host(place: str, default: int) -> tuple[str, int]:
    host, colon, port = place.strip().rpartition(":")
    if not colon or place.strip().endswith("]"):
        return place.strip().strip("[]"), default
    return host.strip("[]"), int(port)
