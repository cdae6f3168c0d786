"""Several whole gateways on one Redis of their own, held by a test."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tests.support.gateway_process import GatewayProcess, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gateway_process import Answer
    from tests.support.redis_servers import RedisServer
    from tests.support.shaky_redis import ShakyRedis
    from tests.support.upstream import Upstream

LEASE_MS = 2_000


@dataclass
class FleetProcesses:
    """`replicas` by name, all on `redis`."""

    redis: RedisServer | ShakyRedis
    replicas: dict[str, GatewayProcess]

    @classmethod
    def make(
        cls,
        folder: Path,
        redis: RedisServer | ShakyRedis,
        services: tuple[Upstream, Upstream],
        names: str = "abc",
        plan: str = "quick",
        **environment: str,
    ) -> FleetProcesses:
        """Not started yet."""
        old, new = services
        return cls(
            redis,
            {
                name: GatewayProcess(
                    folder / f"state-{name}",
                    old.url,
                    new.url,
                    {
                        "REDIS_URL": redis.url,
                        "GATEWAY_REPLICA_NAME": name,
                        "GATEWAY_LEASE_TIME": str(LEASE_MS),
                        "GATEWAY_BREAKER_TIMEOUT": "50",
                        **environment,
                    },
                    ("tests.support.gateway_process", plan),
                )
                for name in names
            },
        )

    def start(self) -> FleetProcesses:
        """Start all at once, and wait until they know one another."""
        with ThreadPoolExecutor(len(self.replicas)) as pool:
            list(pool.map(GatewayProcess.start, self.replicas.values()))
        until(self.complete)
        return self

    def complete(self) -> bool:
        """Everybody hears everybody, and one decides."""
        for gateway in self:
            shown = gateway.rollout["fleet"]["replicas"]
            if [one["name"] for one in shown] != sorted(self.replicas):
                return False
            if {one["state"] for one in shown} != {"reporting"}:
                return False
        return len(self.deciding()) == 1

    def deciding(self) -> list[str]:
        """Who says of itself that it decides."""
        return [
            one["name"]
            for gateway in self
            for one in gateway.rollout["fleet"]["replicas"]
            if one["here"] and one["decides"]
        ]

    def __iter__(self) -> Any:
        return iter(self.replicas.values())

    def __getitem__(self, name: str) -> GatewayProcess:
        return self.replicas[name]

    def in_force(self, version: int) -> bool:
        """All workers of all replicas route by this version."""
        return all(
            worker["version"] >= version
            for gateway in self
            for worker in gateway.rollout["fleet"]["replicas"]
            if worker["here"]
        )

    def change(self, through: str, percent: float) -> float:
        """Set the weight through one replica; the seconds until all route by it."""
        begun = time.monotonic()
        version = self[through].order("weight", percent=percent).json["version"]
        until(lambda: self.in_force(version))
        return time.monotonic() - begun

    def weights(self) -> set[float]:
        """What the replicas route by."""
        return {gateway.rollout["weight_percent"] for gateway in self}

    def calm(self) -> None:
        """Lead out of whatever a test left, to weight 0."""
        until(self.complete)
        gateway = self["a"]
        status = gateway.rollout["status"]
        if status in {"emergency_stopped", "rolled_back"}:
            gateway.order("release" if status == "emergency_stopped" else "resume")
        version = gateway.order("weight", percent=0).json["version"]
        until(lambda: self.in_force(version))

    def stop(self) -> None:
        """Stop all that run; each must end well."""
        running = [gateway for gateway in self if gateway.process is not None]
        with ThreadPoolExecutor(max(1, len(running))) as pool:
            codes = list(pool.map(GatewayProcess.stop, running))
        assert set(codes) <= {0}, [gateway.log.read_text()[-3000:] for gateway in running]


@dataclass
class Load:
    """Keeps asking every replica until it is left; counts what it got."""

    fleet: FleetProcesses
    pause_s: float = 0.01
    systems: dict[str, int] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for gateway in self.fleet:
            thread = threading.Thread(target=self._ask, args=(gateway,))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, gateway: GatewayProcess) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                self._count(gateway.status())
            except OSError as error:
                self.bad.append(repr(error))
            self.longest_s = max(self.longest_s, time.monotonic() - begun)
            time.sleep(self.pause_s)

    def _count(self, answer: Answer) -> None:
        if answer.status != 200:
            self.bad.append(f"{answer.status} {answer.body[:200]!r}")
        system = answer.system or "none"
        self.systems[system] = self.systems.get(system, 0) + 1
