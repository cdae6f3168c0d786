"""
Errors of Redis, and of the connection to it, translated into the gateway's own.

Every caller sees `StoreUnavailableError` or one of its kinds, with what to do. No text repeats a
password: redis-py's messages are only used where they come from the server.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - as below
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - redis-py's own, which is not the built-in one
)

from gateway.errors import (
    StoreFullError,
    StoreReadOnlyError,
    StoreRefusedError,
    StoreStartingError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGN_IN: Final = (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    NoPermissionError,
)
_GOES_ON: Final = "The gateway goes on with what it last knew."


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Let only the gateway's own errors out; `where` names the server, without credentials."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError, KeyError) as error:
        # The built-in TimeoutError is an OSError; so are all of the sockets' own. A KeyError is
        # what redis-py's subscriber makes of a slot that no node of the cluster has.
        raise in_our_words(error, where) from error


def in_our_words(error: Exception, where: str) -> StoreUnavailableError:
    """Say what the error means for the gateway, and what to do."""
    text = str(error)
    if isinstance(error, _SIGN_IN) or text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
        return _refused(error, where)
    if isinstance(error, ReadOnlyError) or text.startswith(("READONLY", "NOREPLICAS", "MISCONF")):
        return _read_only(text, where)
    if isinstance(error, (ClusterDownError, KeyError, MaxConnectionsError, RedisClusterException)):
        return _overwhelmed(error, where)
    if isinstance(error, (ResponseError, BusyLoadingError)):
        return _complaint(error, where)
    how = "did not answer in time" if _is_timeout(error) else "cannot be reached"
    return StoreUnavailableError(
        f"Redis at {where} {how}.", todo=f"Check the server and the way to it. {_GOES_ON}"
    )


def may_have_been_done(error: StoreUnavailableError) -> bool:
    """Whether silence leaves it open what became of the call; a refusal is certain."""
    return type(error) is StoreUnavailableError and isinstance(
        error.__cause__, (OSError, TimeoutError, ConnectionError, RedisClusterException)
    )


def _refused(error: Exception, where: str) -> StoreRefusedError:
    if isinstance(error, NoPermissionError) or str(error).startswith("NOPERM"):
        return StoreRefusedError(
            f"Redis at {where} does not let this user do what the gateway needs.",
            todo="Give the user of REDIS_URL the keys and channels of the gateway's prefix and the "
            "rights named in docs/adr/0022-redis-layout.md.",
        )
    return StoreRefusedError(
        f"Redis at {where} refused the user name or password of REDIS_URL.",
        todo="Correct REDIS_URL (redis://user:password@host:port/database).",
    )


def _read_only(text: str, where: str) -> StoreReadOnlyError:
    if text.startswith("MISCONF"):
        return StoreReadOnlyError(
            f"Redis at {where} takes no writes because it cannot save to its disk.",
            todo=f"Check the disk of that server. {_GOES_ON}",
        )
    if text.startswith("NOREPLICAS"):
        return StoreReadOnlyError(
            f"Redis at {where} takes no writes because too few of its replicas are there.",
            todo=f"Check the replicas of that server. {_GOES_ON}",
        )
    return StoreReadOnlyError(
        f"Redis at {where} is a read-only replica.",
        todo="Name the primary in REDIS_URL, or the sentinels that know it "
        "(redis+sentinel://host:26379/service).",
    )


def _overwhelmed(error: Exception, where: str) -> StoreUnavailableError:
    if isinstance(error, MaxConnectionsError):
        return StoreUnavailableError(
            f"Redis at {where} answers too slowly: too many calls are under way.", todo=_GOES_ON
        )
    return StoreUnavailableError(
        f"The Redis cluster at {where} cannot answer at the moment ({_first_line(str(error))}).",
        todo=f"Check `redis-cli cluster info`. {_GOES_ON}",
    )


def _complaint(error: Exception, where: str) -> StoreUnavailableError:
    text = str(error)
    if isinstance(error, BusyLoadingError) or text.startswith("LOADING"):
        return StoreStartingError(
            f"Redis at {where} is still loading its data.",
            todo="Wait; the gateway asks again by itself.",
        )
    if isinstance(error, OutOfMemoryError) or text.startswith("OOM"):
        return StoreFullError(
            f"Redis at {where} has no memory left and stores nothing (maxmemory).",
            todo="Raise maxmemory or free memory there. " + _GOES_ON,
        )
    if "DB index" in text or "SELECT is not allowed" in text:
        return StoreRefusedError(
            f"Redis at {where} has no database of the number in REDIS_URL.",
            todo="Correct the number at the end of REDIS_URL (a cluster has only 0).",
        )
    if text.startswith("WRONGTYPE"):
        return StoreRefusedError(
            f"Redis at {where} holds keys of another program under the gateway's names.",
            todo="Choose another prefix (REDIS_URL ...?prefix=name) or another database.",
        )
    return StoreUnavailableError(
        f"Redis at {where} said no ({_first_line(text)}).", todo=f"Check the server. {_GOES_ON}"
    )


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, (TimeoutError, OSError)) and "imeout" in f"{type(error)} {error}"


def _first_line(text: str) -> str:
    return text.splitlines()[0][:200] if text else "no reason given"
