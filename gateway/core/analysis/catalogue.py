"""Every sentence the analysis and the rollout can say: key -> (English, Japanese)."""

from __future__ import annotations

from typing import Final

CATALOGUE: Final[dict[str, tuple[str, str]]] = {}
METRIC_LABELS: Final[dict[str, tuple[str, str]]] = {}
RATIO_METRICS: Final[frozenset[str]] = frozenset()
