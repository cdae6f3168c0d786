"""
Clients with a name each, that have to be served by the same system throughout; and who watches.

Whoever is suddenly served by the other one shows that the weight in force has moved, however
shortly, in that very worker. Connections are kept, as those of real clients are.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tests.support.gateway_process import STATUS, until

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.support.gateway_process import GatewayProcess

_UNHURRIED_S = 0.02


class Client:
    """One connection to one gateway, opened again when it was broken."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)

    def ask(self, name: str) -> tuple[int, str | None]:
        """Ask in that client's name; give the status and which system answered."""
        try:
            self._connection.request("GET", STATUS, headers={"X-Client-Id": name})
            answer = self._connection.getresponse()
            answer.read()
        except OSError:
            self._connection.close()
            raise
        return answer.status, answer.getheader("Sync-System")

    def close(self) -> None:
        """Close it."""
        self._connection.close()


@dataclass
class InBackground:
    """Threads that go on until they are left."""

    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _threads: list[threading.Thread] = field(default_factory=list, init=False)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=run, args=args) for run, args in self.tasks()]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def tasks(self) -> Iterable[tuple[Any, tuple[Any, ...]]]:
        """Give what runs, with its arguments."""
        raise NotImplementedError


@dataclass
class StickyLoad(InBackground):
    """`names` ask every gateway in turn, all of them to be served by `system`."""

    gateways: Sequence[GatewayProcess]
    names: Sequence[str]
    system: str
    pause_s: float
    limited_is_fine: bool = False
    """They ask for more than they may have: 429 is no more than they expect."""
    statuses: Counter[int] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def tasks(self) -> Iterable[tuple[Any, tuple[Any, ...]]]:
        """One thread per gateway."""
        return [(self._ask, (gateway,)) for gateway in self.gateways]

    def _ask(self, gateway: GatewayProcess) -> None:
        client = Client(gateway.data_url)
        for name in itertools.cycle(self.names):
            if self._stop.wait(self.pause_s):
                break
            begun = time.monotonic()
            try:
                status, system = client.ask(name)
            except (OSError, http.client.HTTPException) as error:
                self.bad.append(f"{name} at {begun:.2f}: {error!r}")
                continue
            self.statuses[status] += 1
            limited = status == 429 and self.limited_is_fine
            if not limited and (status, system) != (200, self.system):
                self.bad.append(f"{name} at {begun:.2f}: {status} by {system}")
        client.close()


@dataclass
class Watcher(InBackground):
    """Looks again and again at what every gateway says of the rollout."""

    gateways: Sequence[GatewayProcess]
    every_s: float = 0.15
    seen: set[tuple[Any, ...]] = field(default_factory=set)
    """(status, phase, weight) of any of them at any time."""

    def tasks(self) -> Iterable[tuple[Any, tuple[Any, ...]]]:
        """One thread for all."""
        return [(self._look, ())]

    def _look(self) -> None:
        while not self._stop.wait(self.every_s):
            for gateway in self.gateways:
                shown = gateway.rollout
                self.seen.add((shown["status"], shown["phase"], shown["weight_percent"]))


def sides(gateway: GatewayProcess, names: Sequence[str]) -> dict[str, list[str]]:
    """Ask in each name: who is served by which system."""
    client, found = Client(gateway.data_url), {"old": [], "new": []}
    for name in names:
        _, system = until(lambda name=name: (told := client.ask(name))[0] == 200 and told)
        found[system].append(name)
        time.sleep(_UNHURRIED_S)
    client.close()
    return found


def most_over(instants: Iterable[float], rate: float) -> float:
    """Give by how much any span of time has seen more than `rate` would bring in it."""
    lowest, most = 0.0, 0.0
    for number, instant in enumerate(instants):
        spent = number - rate * instant
        lowest = min(lowest, spent) if number else spent
        most = max(most, spent + 1 - lowest)
    return most
