"""
Why, in one sentence, in both languages of the operators.

A decision keeps a key and its figures (`Note`); the sentence is made from them when somebody reads
it. So the same words stand in the API, on the command line, in the log and in a replay, and judging
costs arithmetic only. Figures are rendered by their metric's unit: a ratio as percent, a span in
seconds or hours, a count without decimals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.core.analysis.catalogue import CATALOGUE, METRIC_LABELS, RATIO_METRICS, SOURCE_LABELS

Figure = str | int | float | None

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_MANY: Final = 100


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence in both languages of the operators; the same in API, CLI and logs."""

    en: str
    ja: str


@dataclass(frozen=True, slots=True)
class Note:
    """The key of a sentence and its figures; a figure `metric` decides how values are shown."""

    key: str
    figures: tuple[tuple[str, Figure], ...] = ()

    @property
    def sentence(self) -> Sentence:
        """The sentence itself."""
        return Sentence(en=_render(self, 0), ja=_render(self, 1))

    def figure(self, name: str) -> Figure:
        """One of the figures; None when it is not there."""
        return dict(self.figures).get(name)


def note(key: str, **figures: Figure) -> Note:
    """Make a note of that key; figures by keyword."""
    return Note(key, tuple(figures.items()))


class _Figures(dict[str, str]):
    """A stored note may lack a figure that today's sentence wants; it is still worth reading."""

    def __missing__(self, key: str) -> str:
        return "?"


def _render(this: Note, language: int) -> str:
    figures = dict(this.figures)
    metric = figures.get("metric")
    shown = {name: _figure(name, value, metric, language) for name, value in figures.items()}
    return CATALOGUE[this.key][language].format_map(_Figures(shown))


def _figure(name: str, value: Figure, metric: Figure, language: int) -> str:
    if value is None:
        return ("unknown", "不明")[language]
    if isinstance(value, str):
        return _word(name, value, language)
    if name.endswith("_s"):
        return span(value, language)
    if name.endswith("_bp"):
        return f"{value / 100:g} %"
    if name == "confidence" or (name in {"value", "threshold"} and metric in RATIO_METRICS):
        return f"{value * 100:.3g} %"
    return _number(value)


def _word(name: str, value: str, language: int) -> str:
    if name == "metric":
        return METRIC_LABELS[value][language]
    return SOURCE_LABELS.get(value, (value, value))[language] if name == "system" else value


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= _MANY else f"{value:.3g}"


def span(seconds: float, language: int = 0) -> str:
    """Say a span as people say it: `40 s`, `15 min`, `24 h`, `7 d`."""
    units = ((_DAY_S, (" d", " 日")), (_HOUR_S, (" h", " 時間")), (_MINUTE_S, (" min", " 分")))
    for size, words in units:
        if seconds >= 2 * size or seconds == size:
            return f"{seconds / size:.3g}{words[language]}"
    return f"{seconds:.3g}{(' s', ' 秒')[language]}"
