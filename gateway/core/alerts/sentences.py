"""Why there is an alert, in one sentence of both languages, and figures with their units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.core.alerts.rules import Of
from gateway.core.analysis.catalogue import METRIC_LABELS
from gateway.core.analysis.sentences import Sentence, span

if TYPE_CHECKING:
    from gateway.core.alerts.rules import Rule
    from gateway.core.analysis import Metric

_MANY: Final = 100

WHOLE: Final = Sentence("the whole", "全体")
STORE: Final = Sentence(
    "The state cannot be stored: nothing moves forward, rollback and emergency stop work. "
    "Check the disk of the state directory.",
    "状態を保存できません。先へは進めませんが、切り戻しと緊急停止は動作します。"
    "状態ディレクトリのディスクを確認してください。",
)
TITLES: Final[dict[str, Sentence]] = {
    "store": Sentence("State cannot be stored", "状態を保存できません"),
    "rollback": Sentence("Rolled back", "切り戻し済み"),
    "emergency_stop": Sentence("Emergency stop", "緊急停止中"),
    "decision": Sentence("A decision waits", "判断待ち"),
    "finding": Sentence("Trouble found", "異常を検出"),
    "source": Sentence("A figure is missing", "計測値が届いていません"),
    "started": Sentence("Deployment started", "デプロイ開始"),
    "promoted": Sentence("Phase moved", "フェーズ移行"),
    "completed": Sentence("Migration complete", "移行完了"),
    "promotion_wanted": Sentence("Ready to promote", "次のフェーズへ進めます"),
}
"""Of alerts that no rule of the policy makes, by what stands before the colon of their name."""


def shown(metric: Metric, value: float | None, language: int = 0) -> str:
    """Say a figure as people say it, with its unit; 0 English, 1 Japanese."""
    if value is None:
        return ("unknown", "不明")[language]
    if metric.value.endswith("_ratio"):
        return f"{value * 100:.3g} %"
    if metric.value == "sync_seconds_per_1000":
        return span(value, language)
    if metric.value.endswith("_ms"):
        return f"{value:,.0f} ms"
    return f"{value:,.0f}" if abs(value) >= _MANY or value == int(value) else f"{value:.3g}"


def figure(rule: Rule, value: float | None, language: int = 0) -> str:
    """Say a figure or a bound of a rule; a change against the time before as percent."""
    if value is not None and rule.of is Of.CHANGE:
        return f"{value * 100:.3g} %"
    return shown(rule.metric, value, language)


def over_limit(
    rule: Rule, system: str | None, *, value: float, threshold: float, sample: int
) -> Sentence:
    """Say that a figure is beyond its limit."""
    told = [(figure(rule, value, each), figure(rule, threshold, each)) for each in (0, 1)]
    window = (f", last {span(rule.window_s, 0)}", f"、直近 {span(rule.window_s, 1)}")
    if not rule.metric.from_window:
        window = ("", "")
    english, japanese = METRIC_LABELS[rule.metric.value]
    if rule.of is Of.CHANGE:
        english, japanese = f"change of the {english}", f"{japanese}の変化"
    return Sentence(
        f"The {english} of {system or WHOLE.en} is {told[0][0]}; the limit is {told[0][1]} "
        f"(sample {sample:,}{window[0]}).",
        f"{system or WHOLE.ja}の{japanese}は {told[1][0]} です"
        f"(上限 {told[1][1]}、標本 {sample:,}{window[1]})。",
    )


def missing(metric: Metric, system: str | None, *, never: bool) -> Sentence:
    """Say that nobody tells a figure."""
    english, japanese = METRIC_LABELS[metric.value]
    if never:
        return Sentence(
            f"Nobody has ever reported the {english} of {system or WHOLE.en}: unknown never counts "
            "as good.",
            f"{system or WHOLE.ja}の{japanese}は一度も報告されていません。"
            "不明は良好とみなしません。",
        )
    return Sentence(
        f"The {english} of {system or WHOLE.en} is not reported any more: unknown never counts as "
        "good.",
        f"{system or WHOLE.ja}の{japanese}が届かなくなりました。不明は良好とみなしません。",
    )
