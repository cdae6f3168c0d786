"""
What this machine has left: CPU, memory, disk and network as ratios of what there is.

CPU and network are rates between two samples, so the first sample knows neither. Network needs to
be told its capacity: without one its ratio is not measured, which is not the same as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from pathlib import Path

_BITS: Final = 8
_MEGA: Final = 1_000_000
_PERCENT: Final = 100.0


@dataclass(frozen=True, slots=True)
class ResourceReading:
    """One sample; None is not measured."""

    cpu_ratio: float | None
    memory_ratio: float | None
    disk_ratio: float | None
    network_ratio: float | None


class Resources:
    """Samples the machine; every call is quick and does not block."""

    def __init__(self, *, disk: Path, network_capacity_mbit: float = 0.0) -> None:
        self._disk = disk
        self._network_bytes_per_s = network_capacity_mbit * _MEGA / _BITS
        self._cpu_known = False
        self._network: tuple[int, int] | None = None

    def sample(self, now_us: int) -> ResourceReading:
        """Read all four; one that cannot be read is None."""
        return ResourceReading(
            cpu_ratio=self._cpu(),
            memory_ratio=_ratio(psutil.virtual_memory().percent / _PERCENT),
            disk_ratio=self._disk_ratio(),
            network_ratio=self._network_ratio(now_us),
        )

    def _cpu(self) -> float | None:
        percent = psutil.cpu_percent(interval=None)
        if not self._cpu_known:
            self._cpu_known = True
            return None
        return _ratio(percent / _PERCENT)

    def _disk_ratio(self) -> float | None:
        try:
            return _ratio(psutil.disk_usage(str(self._disk)).percent / _PERCENT)
        except OSError:
            return None

    def _network_ratio(self, now_us: int) -> float | None:
        counters = psutil.net_io_counters()
        if counters is None or self._network_bytes_per_s <= 0:
            return None
        # Sending and receiving do not share capacity: the busier direction is what counts.
        busiest = max(counters.bytes_sent, counters.bytes_recv)
        before, self._network = self._network, (now_us, busiest)
        if before is None or now_us <= before[0] or busiest < before[1]:
            return None
        per_s = (busiest - before[1]) * 1_000_000 / (now_us - before[0])
        return _ratio(per_s / self._network_bytes_per_s)


def _ratio(value: float) -> float:
    return min(1.0, max(0.0, value))
