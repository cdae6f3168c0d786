"""The machine's resources: ratios of what is there, and no figure where none was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.control.resources import Resources

if TYPE_CHECKING:
    from pathlib import Path


def test_rates_need_two_samples_and_a_capacity(tmp_path: Path) -> None:
    """The first sample knows neither CPU nor network; without a capacity network stays unknown."""
    known = Resources(disk=tmp_path, network_capacity_mbit=1e9)
    first, second = known.sample(1_000_000), known.sample(2_000_000)
    assert (first.cpu_ratio, first.network_ratio) == (None, None)
    for ratio in (
        first.memory_ratio, first.disk_ratio, second.cpu_ratio, second.network_ratio,
    ):  # fmt: skip
        assert ratio is not None
        assert 0 <= ratio <= 1
    unknown = Resources(disk=tmp_path)
    unknown.sample(1_000_000)
    assert unknown.sample(2_000_000).network_ratio is None


def test_a_disk_that_is_not_there_is_not_measured(tmp_path: Path) -> None:
    """Unknown, not zero."""
    assert Resources(disk=tmp_path / "nowhere").sample(1).disk_ratio is None
