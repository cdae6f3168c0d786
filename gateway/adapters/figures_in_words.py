"""
Figures of a message in words: one name for templates, one way to show it, in both languages.

What is not known is called unknown, never zero and never left blank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from gateway.adapters.notify.plain import one_line
from gateway.core.analysis.sentences import span
from gateway.core.model import SECOND_US
from gateway.ports.alerts import Language

Show = Callable[[object, Language], str]

_MOST_TEXT: Final = 1_000
_MOST_WORD: Final = 200
_MOST_LIST: Final = 10
_UNKNOWN: Final = {Language.EN: "unknown", Language.JA: "不明"}
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "critical": ("critical", "緊急"),
    "high": ("high", "高"),
    "medium": ("medium", "中"),
    "low": ("low", "低"),
    "idle": ("idle", "待機中"),
    "running": ("running", "稼働中"),
    "paused": ("paused", "一時停止中"),
    "rolled_back": ("rolled back", "切り戻し済み"),
    "emergency_stopped": ("emergency stop", "緊急停止中"),
    "completed": ("completed", "完了"),
    "raised": ("raised", "発生"),
    "updated": ("worse", "悪化"),
    "escalated": ("escalated", "エスカレーション"),
    "follow_up": ("follow-up", "続報"),
    "acknowledged": ("acknowledged", "対応中"),
    "resolved": ("resolved", "解消"),
    "told": ("news", "お知らせ"),
}


def _text(value: object, _: Language) -> str:
    return one_line(value, _MOST_TEXT)


def _short(value: object, _: Language) -> str:
    return one_line(value, _MOST_WORD)


def _word(value: object, language: Language) -> str:
    pair = _WORDS.get(str(value))
    return pair[language is Language.JA] if pair else one_line(value, _MOST_WORD)


def _system(value: object, language: Language) -> str:
    return one_line(value, _MOST_WORD) or ("全体" if language is Language.JA else "the whole")


def _number(value: object, _: Language) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return one_line(value, _MOST_WORD)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _percent(value: object, language: Language) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return _UNKNOWN[language]
    return f"{value:g} %"


def _span(value: object, language: Language) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return _UNKNOWN[language]
    return span(value, int(language is Language.JA))


def _time(value: object, language: Language) -> str:
    """Show the time of this machine's zone, which is named."""
    if isinstance(value, bool) or not isinstance(value, int):
        return _UNKNOWN[language]
    try:
        at = datetime.fromtimestamp(value / SECOND_US, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return _UNKNOWN[language]
    return f"{at:%Y-%m-%d %H:%M:%S} {at.tzname() or at.strftime('%z')}"


def _list(value: object, language: Language) -> str:
    if not isinstance(value, list | tuple):
        return one_line(value, _MOST_TEXT)
    comma = "、" if language is Language.JA else ", "
    return comma.join(one_line(each, _MOST_WORD) for each in value[:_MOST_LIST])


FIELDS: Final[Mapping[str, tuple[str, Show]]] = {
    "title": ("title", _short),
    "why": ("why", _text),
    "rule": ("rule", _short),
    "system": ("system", _system),
    "value": ("value_text", _short),
    "threshold": ("threshold_text", _short),
    "sample": ("sample", _number),
    "window": ("window_s", _span),
    "raised": ("raised_us", _time),
    "answer_by": ("answer_by_us", _time),
    "lasted": ("lasted_s", _span),
    "acknowledged_by": ("acknowledged_by", _short),
    "acknowledged_reason": ("acknowledged_reason", _text),
    "names": ("names", _list),
    "step": ("step", _number),
    "step_title": ("step_title", _short),
    "phase": ("phase", _short),
    "before": ("before", _short),
    "status": ("status", _word),
    "weight": ("weight_percent", _percent),
    "baked": ("baked_s", _span),
    "decision": ("decision", _number),
    "deadline": ("deadline_us", _time),
    "actor": ("actor", _short),
    "todo": ("todo", _text),
    "link": ("link", _text),
    "silenced": ("silenced_s", _span),
    "id": ("id", _short),
    "incident": ("incident", _number),
    "level": ("level", _word),
    "stage": ("stage", _word),
    "message": ("message", _short),
    "at": ("at_us", _time),
    "period": ("period", _short),
    "requests": ("requests", _short),
    "success": ("success", _short),
    "latency": ("latency", _short),
    "listings": ("listings", _short),
    "pace": ("pace", _short),
    "resources": ("resources", _text),
    "match_rate": ("match_rate", _short),
    "alerts": ("alerts", _short),
    "rollbacks": ("rollbacks", _short),
    "decisions": ("decisions", _short),
    "user_reports": ("user_reports", _short),
    "stood": ("stood", _short),
}
"""A template's field -> the figure behind it, and how it is shown."""
_ALWAYS: Final = frozenset({"system"})


def known(name: str, figures: Mapping[str, object]) -> bool:
    """Whether there is something to show for a field."""
    if name in _ALWAYS:
        return True
    value = figures.get(FIELDS[name][0])
    return value is not None and value not in ("", [], ())


def shown(name: str, figures: Mapping[str, object], language: Language) -> str:
    """Show a field; what is not known says so."""
    figure, show = FIELDS[name]
    if name in _ALWAYS:
        return show(figures.get(figure) or "", language)
    return show(figures[figure], language) if known(name, figures) else _UNKNOWN[language]
